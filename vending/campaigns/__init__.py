"""Campaigns: changing the key, tariff index, supply group or base date of a whole fleet."""
