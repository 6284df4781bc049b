"""Typed views of COSEM interface classes: attributes and methods to values and back, pure."""
