"""Sales: from a tender to a token, its postings and its receipt, exactly once."""
