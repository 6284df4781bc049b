"""Every route of the API in one list."""

from fastapi import APIRouter

from vending.api import (
    health,
    meters,
    office_account,
    office_approvals,
    office_audit,
    office_campaigns,
    office_commands,
    office_custody,
    office_customers,
    office_operators,
    office_partners,
    office_policies,
    office_sales,
    office_sign_in,
    office_tariffs,
    office_tokens,
    sales,
)


def list_routers() -> list[APIRouter]:
    """Return each router; it has its prefix."""
    return [
        meters.router,
        sales.router,
        office_sign_in.router,
        office_account.router,
        office_operators.router,
        office_approvals.router,
        office_audit.router,
        office_campaigns.router,
        office_commands.router,
        office_custody.router,
        office_customers.router,
        office_partners.router,
        office_policies.router,
        office_sales.router,
        office_tariffs.router,
        office_tokens.router,
        health.router,
    ]
