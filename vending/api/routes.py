"""Every route of the API in one list."""

from fastapi import APIRouter

from vending.api import health, meters, office_approvals, office_campaigns, sales


def list_routers() -> list[APIRouter]:
    """Return each router; it has its prefix."""
    return [
        meters.router,
        sales.router,
        office_approvals.router,
        office_campaigns.router,
        health.router,
    ]
