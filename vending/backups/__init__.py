"""Backups that two custodians open, restores, and what a restore may have lost."""
