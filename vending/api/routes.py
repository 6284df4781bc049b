"""Every route of the API in one list."""

from fastapi import APIRouter

from vending.api import health, meters, sales


def list_routers() -> list[APIRouter]:
    """Return each router; it has its prefix."""
    return [meters.router, sales.router, health.router]
