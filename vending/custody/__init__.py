"""Custody of vending keys: ceremonies, ceilings, kill switches, expiry."""
