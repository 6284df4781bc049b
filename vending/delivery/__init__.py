"""Carries commands to meters: leases, speaks to the meter outside any transaction, records."""
