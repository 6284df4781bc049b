"""The page of who may do what: roles, acts of two people, commands, routes."""

from datetime import timedelta

from fastapi import FastAPI

from tests.docs.tables import table_of
from tests.support.command_tree import walk_commands
from vending.api.access import PUBLIC_ROUTES, Gate, RouteAccess, list_access
from vending.api.routes import list_routers
from vending.approvals.model import USE_CASE_RULES
from vending.cli.marks import ACCESS_MARK
from vending.operators.permissions import ROLE_PERMISSIONS, Permission, Role


def roles_page(note: str) -> str:
    return f"""# Who may do what

{note}
A role carries what its holder's work needs. Whoever is signed in may look at their own account, end
their sessions and change their own factors. An act of two people is asked for by one and decided by
another ([approvals](../reference/approval.md)); whoever may ask carries it out. What holds these
tables is tested for every command and route with every role, with nobody, with a revoked session,
a locked account and a partner's key.

## Roles

{_roles()}
## Acts that take two people

{_use_cases()}
## Commands that take an operator

{_commands()}
## Commands of whoever runs the machine

No operator can be asked for, or nothing of the installation is touched.

{_host_commands()}
## Routes

{_routes()}"""


def _roles() -> str:
    rows = [
        (
            f"`{permission.value}`",
            *("x" if permission in ROLE_PERMISSIONS[role] else "" for role in Role),
        )
        for permission in Permission
    ]
    return table_of(("permission", *(role.value for role in Role)), rows)


def _use_cases() -> str:
    rows = [
        (
            use_case.value,
            f"`{rule.ask.value}`",
            f"`{rule.decide.value}`",
            f"{rule.lifetime // timedelta(days=1)} d",
        )
        for use_case, rule in USE_CASE_RULES.items()
    ]
    return table_of(("use case", "asks, carries out", "decides", "holds"), rows)


def _commands() -> str:
    marks = sorted((words, getattr(command, ACCESS_MARK)) for words, command in walk_commands())
    rows = [
        (f"`vending {words}`", f"`{mark.value}`")
        for words, mark in marks
        if isinstance(mark, Permission)
    ]
    return table_of(("command", "permission"), rows)


def _host_commands() -> str:
    marks = sorted((words, getattr(command, ACCESS_MARK)) for words, command in walk_commands())
    rows = [
        (f"`vending {words}`", mark) for words, mark in marks if not isinstance(mark, Permission)
    ]
    return table_of(("command", "why"), rows)


def _routes() -> str:
    app = FastAPI(docs_url=None, redoc_url=None)
    for router in list_routers():
        app.include_router(router)
    found = sorted(list_access(app), key=lambda one: one.route.split(" ")[::-1])
    return table_of(("route", "asks for"), [(f"`{one.route}`", _asked(one)) for one in found])


def _asked(access: RouteAccess) -> str:
    match access.gate:
        case Gate.PERMISSION:
            assert access.permission is not None, "the gate has one"
            return f"`{access.permission.value}`"
        case Gate.PUBLIC:
            return f"nobody: {PUBLIC_ROUTES[access.route]}"
        case Gate.PARTNER:
            return "a partner's key"
        case Gate.SIGNED_IN:
            return "a session, for one's own account"
