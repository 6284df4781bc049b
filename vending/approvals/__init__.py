"""Approvals: asked for by one person, decided by another."""
