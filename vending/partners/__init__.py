"""Who sells through us: partners and the API keys that prove it."""
