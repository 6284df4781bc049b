"""Byte streams to meters: serial lines, TCP connections, memory."""
