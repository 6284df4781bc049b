"""Use cases of the operators, one file for each kind."""
