"""Rules that two people set: how much one person may do alone, when, and for how long."""
