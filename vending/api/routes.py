"""Every route of the API in one list; `/v1` is the contract with partners."""

from typing import Final

from fastapi import APIRouter

from vending.api import health, meters, sales

V1: Final = "/v1"


def list_routers() -> list[tuple[APIRouter, str]]:
    """Return each router with its prefix."""
    return [(meters.router, V1), (sales.router, V1), (health.router, "")]
