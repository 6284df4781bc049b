"""The use cases of selling: quote, vend, look up, reprint, and finish what was left open."""
