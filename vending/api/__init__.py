"""The JSON API: parses a request, calls one use case, answers; it decides nothing."""
