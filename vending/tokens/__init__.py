"""Issued tokens: sealed in the database, found by their last four digits."""
