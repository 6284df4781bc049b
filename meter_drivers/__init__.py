"""Drivers that read prepaid meters, give them tokens and switch their relays."""
