"""The vending service: sells prepaid energy as STS tokens and keeps the books."""
