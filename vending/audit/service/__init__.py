"""Use cases of the audit chain: seal, export, verify, declare a gap, look."""
