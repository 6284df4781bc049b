"""Simulated meters on real lines: one server a protocol."""
