"""Protocol cores: bytes and registers in, values out; they never wait and touch no line."""
