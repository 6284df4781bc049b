"""Operators: the utility's own people, what each may do, and how each signs in."""
