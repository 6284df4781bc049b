"""Meter models as data: one TOML file a model, and the typed loader."""
