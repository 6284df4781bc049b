"""What operators may do: permissions, and the roles that carry them.

A permission names one act on one kind of thing. A role carries what its holder's work needs and
no more; nobody's role both asks for and approves the same thing alone, since an approval is
never one's own. `docs/security/roles.md` shows the table.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Permission(StrEnum):
    """One act on one kind of thing."""

    SALES_READ = "sales.read"
    SALES_REFUND = "sales.refund"
    SALES_REPLACE = "sales.replace"
    SALES_APPROVE = "sales.approve"
    """Refunds and replacements above the limit."""
    TOKENS_VIEW = "tokens.view"
    """See digits; each view is recorded."""
    TOKENS_MANAGE = "tokens.manage"
    """Ask for a management token."""
    TOKENS_FREE = "tokens.free"
    """Ask for free units."""
    TOKENS_APPROVE = "tokens.approve"
    METERS_READ = "meters.read"
    METERS_WRITE = "meters.write"
    CUSTOMERS_READ = "customers.read"
    """Masked."""
    CUSTOMERS_IDENTITY = "customers.identity"
    """Unmasked; each view is recorded."""
    CUSTOMERS_WRITE = "customers.write"
    CUSTOMERS_ERASE = "customers.erase"
    """Ask for the erasure of a person's data."""
    CUSTOMERS_APPROVE = "customers.approve"
    TARIFFS_READ = "tariffs.read"
    TARIFFS_WRITE = "tariffs.write"
    """Draft a version and ask for its activation."""
    TARIFFS_APPROVE = "tariffs.approve"
    PARTNERS_READ = "partners.read"
    PARTNERS_WRITE = "partners.write"
    PARTNERS_CREDIT = "partners.credit"
    """Ask for a change of a credit line."""
    PARTNERS_APPROVE = "partners.approve"
    KEYS_READ = "keys.read"
    KEYS_WRITE = "keys.write"
    """Take part in a ceremony, ask for import, retire, rotate."""
    KEYS_APPROVE = "keys.approve"
    SWITCHES_STOP = "switches.stop"
    """Stop issuing at once, alone."""
    SWITCHES_RELEASE = "switches.release"
    """Ask for issuing to go on."""
    CEILINGS_WRITE = "ceilings.write"
    """Ask for other ceilings."""
    LIMITS_APPROVE = "limits.approve"
    """Other ceilings, and the release of a switch."""
    CAMPAIGNS_READ = "campaigns.read"
    CAMPAIGNS_WRITE = "campaigns.write"
    """Plan, run, pause; note what was entered."""
    CAMPAIGNS_APPROVE = "campaigns.approve"
    COMMANDS_READ = "commands.read"
    COMMANDS_WRITE = "commands.write"
    """Order a meter off or on, settle doubts."""
    COMMANDS_APPROVE = "commands.approve"
    """Disconnections outside the rule."""
    LEDGER_READ = "ledger.read"
    AUDIT_READ = "audit.read"
    OPERATORS_READ = "operators.read"
    OPERATORS_WRITE = "operators.write"
    """Take on, lock, sign out, reset a second factor; ask for other roles."""
    OPERATORS_APPROVE = "operators.approve"
    POLICIES_READ = "policies.read"
    POLICIES_WRITE = "policies.write"
    """Ask for another rule of what one person may do alone."""
    POLICIES_APPROVE = "policies.approve"
    APPROVALS_READ = "approvals.read"
    OUTBOX_WRITE = "outbox.write"
    BACKUPS_WRITE = "backups.write"
    """Back up, name the custodians of backups."""


class Role(StrEnum):
    """A kind of work at the utility."""

    CASHIER = "cashier"
    CUSTOMER_SERVICE = "customer-service"
    COLLECTIONS = "collections"
    KEY_ACCOUNTS = "key-accounts"
    TARIFF_OWNER = "tariff-owner"
    FINANCE = "finance"
    KEY_CUSTODIAN = "key-custodian"
    ENGINEER = "engineer"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


_P = Permission
ROLE_PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = MappingProxyType(
    {
        Role.CASHIER: frozenset(
            {_P.SALES_READ, _P.METERS_READ, _P.CUSTOMERS_READ, _P.TARIFFS_READ}
        ),
        Role.CUSTOMER_SERVICE: frozenset(
            {
                _P.SALES_READ,
                _P.SALES_REFUND,
                _P.SALES_REPLACE,
                _P.TOKENS_VIEW,
                _P.TOKENS_MANAGE,
                _P.TOKENS_FREE,
                _P.METERS_READ,
                _P.CUSTOMERS_READ,
                _P.CUSTOMERS_IDENTITY,
                _P.CUSTOMERS_WRITE,
                _P.CUSTOMERS_ERASE,
                _P.TARIFFS_READ,
                _P.COMMANDS_READ,
                _P.CAMPAIGNS_READ,
                _P.APPROVALS_READ,
            }
        ),
        Role.COLLECTIONS: frozenset(
            {
                _P.SALES_READ,
                _P.METERS_READ,
                _P.CUSTOMERS_READ,
                _P.CUSTOMERS_IDENTITY,
                _P.COMMANDS_READ,
                _P.COMMANDS_WRITE,
                _P.APPROVALS_READ,
            }
        ),
        Role.KEY_ACCOUNTS: frozenset(
            {
                _P.SALES_READ,
                _P.METERS_READ,
                _P.CUSTOMERS_READ,
                _P.CUSTOMERS_IDENTITY,
                _P.CUSTOMERS_WRITE,
                _P.TARIFFS_READ,
                _P.PARTNERS_READ,
                _P.PARTNERS_WRITE,
                _P.PARTNERS_CREDIT,
                _P.APPROVALS_READ,
            }
        ),
        Role.TARIFF_OWNER: frozenset(
            {
                _P.TARIFFS_READ,
                _P.TARIFFS_WRITE,
                _P.TARIFFS_APPROVE,
                _P.SALES_READ,
                _P.APPROVALS_READ,
            }
        ),
        Role.FINANCE: frozenset(
            {
                _P.SALES_READ,
                _P.SALES_REFUND,
                _P.SALES_APPROVE,
                _P.TOKENS_APPROVE,
                _P.TARIFFS_READ,
                _P.TARIFFS_APPROVE,
                _P.PARTNERS_READ,
                _P.PARTNERS_CREDIT,
                _P.PARTNERS_APPROVE,
                _P.SWITCHES_STOP,
                _P.CEILINGS_WRITE,
                _P.LIMITS_APPROVE,
                _P.LEDGER_READ,
                _P.POLICIES_READ,
                _P.POLICIES_WRITE,
                _P.POLICIES_APPROVE,
                _P.APPROVALS_READ,
            }
        ),
        Role.KEY_CUSTODIAN: frozenset(
            {
                _P.KEYS_READ,
                _P.KEYS_WRITE,
                _P.KEYS_APPROVE,
                _P.SWITCHES_STOP,
                _P.SWITCHES_RELEASE,
                _P.CEILINGS_WRITE,
                _P.LIMITS_APPROVE,
                _P.CAMPAIGNS_READ,
                _P.CAMPAIGNS_APPROVE,
                _P.APPROVALS_READ,
            }
        ),
        Role.ENGINEER: frozenset(
            {
                _P.METERS_READ,
                _P.METERS_WRITE,
                _P.TOKENS_MANAGE,
                _P.COMMANDS_READ,
                _P.COMMANDS_WRITE,
                _P.COMMANDS_APPROVE,
                _P.TOKENS_APPROVE,
                _P.KEYS_READ,
                _P.SWITCHES_STOP,
                _P.CAMPAIGNS_READ,
                _P.CAMPAIGNS_WRITE,
                _P.CAMPAIGNS_APPROVE,
                _P.OUTBOX_WRITE,
                _P.APPROVALS_READ,
            }
        ),
        Role.AUDITOR: frozenset(
            {
                _P.SALES_READ,
                _P.METERS_READ,
                _P.CUSTOMERS_READ,
                _P.TARIFFS_READ,
                _P.PARTNERS_READ,
                _P.KEYS_READ,
                _P.CAMPAIGNS_READ,
                _P.COMMANDS_READ,
                _P.LEDGER_READ,
                _P.AUDIT_READ,
                _P.OPERATORS_READ,
                _P.POLICIES_READ,
                _P.APPROVALS_READ,
            }
        ),
        Role.ADMINISTRATOR: frozenset(
            {
                _P.OPERATORS_READ,
                _P.OPERATORS_WRITE,
                _P.OPERATORS_APPROVE,
                _P.CUSTOMERS_APPROVE,
                _P.PARTNERS_READ,
                _P.PARTNERS_WRITE,
                _P.SWITCHES_STOP,
                _P.OUTBOX_WRITE,
                _P.BACKUPS_WRITE,
                _P.POLICIES_READ,
                _P.POLICIES_WRITE,
                _P.POLICIES_APPROVE,
                _P.APPROVALS_READ,
            }
        ),
    }
)
"""Least privilege: what no row grants, its holder may not do."""


def permissions_of(roles: frozenset[Role]) -> frozenset[Permission]:
    """Return what the roles carry together."""
    return frozenset().union(*(ROLE_PERMISSIONS[role] for role in roles))
