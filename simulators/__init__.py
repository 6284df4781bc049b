"""Simulated prepaid meters that take real tokens and speak real protocols."""
