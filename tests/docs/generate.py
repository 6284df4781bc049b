"""Writes the pages of the documentation that are printed from the code: `make docs`.

`tests/docs` compares each page with what this prints, so that none is trusted to memory.
"""

import inspect
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, get_args

from pydantic.fields import FieldInfo

import meter_drivers
import vending
from meter_drivers.errors import DriverError
from tests.docs.roles_page import roles_page
from tests.docs.tables import table_of
from vending.approvals.model import draw_state_diagram as draw_approval_states
from vending.campaigns.model import draw_campaign_states, draw_meter_steps
from vending.commands.model import draw_state_diagram as draw_command_states
from vending.errors import VendingError
from vending.meters.model import draw_state_diagram as draw_meter_states
from vending.policies.model import DEFAULTS, MEANINGS, PolicyName
from vending.policies.service import describe_value
from vending.sales.model import SALE_TRANSITIONS, SaleState
from vending.settings import PREFIX, Settings
from vending.sts import STSError

DOCS = Path(__file__).parents[2] / "docs"
NOTE = "<!-- Printed from the code by `make docs`; edit the code, not this page. -->\n"


def pages() -> dict[Path, str]:
    """Each printed page and its text."""
    return {
        DOCS / "settings.md": settings_page(),
        DOCS / "errors.md": errors_page(),
        DOCS / "reference" / "sale-states.md": states_page("sale", draw_sale_states()),
        DOCS / "reference" / "meter-states.md": states_page("meter", draw_meter_states()),
        DOCS / "reference" / "command-states.md": states_page("command", draw_command_states()),
        DOCS / "reference" / "campaign-states.md": states_page("campaign", draw_campaign_states()),
        DOCS / "reference" / "campaign-meter-states.md": states_page(
            "meter in a campaign", draw_meter_steps()
        ),
        DOCS / "security" / "roles.md": roles_page(NOTE),
        DOCS / "reference" / "policies.md": policies_page(),
        DOCS / "reference" / "approval-states.md": states_page("approval", draw_approval_states()),
    }


# --- policies ------------------------------------------------------------------------------------
def policies_page() -> str:
    rows = [
        (f"`{name}`", f"`{describe_value(DEFAULTS[name])}`", MEANINGS[name]) for name in PolicyName
    ]
    table = table_of(("policy", "until two people set it", "what it says"), rows)
    return f"# Policies\n\n{NOTE}\nWhat each guarantees is in [policy](policy.md).\n\n{table}"


# --- settings ------------------------------------------------------------------------------------
def settings_page() -> str:
    source = inspect.getdoc(sys.modules[Settings.__module__]) or ""
    order = source.split("\n\n", 1)[1].rsplit("\n\n", 1)[0]
    rows = [
        (f"`{PREFIX}{name.upper()}`", form_of(field), default_of(field), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    table = table_of(("variable", "form", "default", "what it sets"), rows)
    text = (
        "In TOML a setting is named without the prefix and in small "
        "letters: `port = 8080`. `vending doctor` shows each value and where it came from."
    )
    return f"# Settings\n\n{NOTE}\n{order}\n\n{text}\n\n{table}"


def form_of(field: FieldInfo) -> str:
    choices = get_args(field.annotation)
    texts = [choice for choice in choices if isinstance(choice, str)]
    if texts:
        return " or ".join(f"`{choice}`" for choice in texts)
    kinds = [one for one in choices or (field.annotation,) if one is not type(None)]
    name = {"str": "text", "SecretStr": "secret", "Path": "path", "int": "whole number",
            "bool": "`true` or `false`"}[kinds[0].__name__]  # fmt: skip
    return f"{name}{bounds_of(field.metadata)}"


def bounds_of(metadata: Sequence[Any]) -> str:
    told = {
        "ge": "at least {}", "le": "at most {}", "min_length": "{} characters or more",
        "max_length": "{} characters at most", "pattern": "as `{}`",
    }  # fmt: skip
    bounds = [
        text.format(getattr(one, name))
        for one in metadata
        for name, text in told.items()
        if getattr(one, name, None) is not None
    ]
    return f", {', '.join(bounds)}" if bounds else ""


def default_of(field: FieldInfo) -> str:
    if field.default is None:
        return ""
    shown = str(field.default)
    return f"`{shown.lower() if isinstance(field.default, bool) else shown}`"


# --- errors --------------------------------------------------------------------------------------
def load_everything() -> None:
    """Import every module, so that every error is defined."""
    for package in (vending, meter_drivers):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)


def descendants(root: type[Any]) -> Iterator[type[Any]]:
    for child in root.__subclasses__():
        yield child
        yield from descendants(child)


def list_errors(root: type[Any]) -> list[type[Any]]:
    """Every error of a family that can occur, by its code."""
    load_everything()
    found = {
        each
        for each in descendants(root)
        if each.__module__.startswith(("vending.", "meter_drivers.")) and "code" in vars(each)
    }
    return sorted(found, key=lambda each: str(each.code))


def errors_page() -> str:
    ours = [
        (
            f"`{each.code}`",
            str(each.http_status.fget(each)),
            answer_of(each),
            cause_of(each),
            each.remedy,
        )
        for each in list_errors(VendingError)
    ]
    sts = [(f"`{each.code}`", cause_of(each), each.remedy) for each in list_errors(STSError)]
    drivers = [
        (f"`{each.code}`", cause_of(each), "yes" if each.retryable else "no")
        for each in list_errors(DriverError)
    ]
    return f"""# Errors

{NOTE}
Every refusal has a code that stays the same, and says what to do. The API answers with a problem
document (RFC 9457), the command line prints code, message and remedy and exits with 1.

*Again* says whether the same request, with the same key, may be sent again. *Outcome* is `none`
when nothing happened, `done` when it had its effect before, `unknown` when only asking again with
the same key tells.

## Refusals of the service

{table_of(("code", "status", "again, outcome", "cause", "remedy"), ours)}
## The STS library

The command line prints these as they are; the service translates them before it answers.

{table_of(("code", "cause", "remedy"), sts)}
## Meters and lines

`meterctl` prints these; the worker keeps the code with the command that met it.

{table_of(("code", "cause", "retryable"), drivers)}"""


def answer_of(error: type[VendingError]) -> str:
    return f"{'yes' if error.retryable else 'no'}, `{error.outcome.value}`"


def cause_of(error: type[Any]) -> str:
    return (inspect.getdoc(error) or "").split("\n\n", 1)[0].replace("\n", " ")


# --- states --------------------------------------------------------------------------------------
def draw_sale_states() -> str:
    lines = ["stateDiagram-v2", f"    [*] --> {name_of(SaleState.QUOTED)}"]
    lines += [
        f"    {name_of(state)} --> {name_of(target)}"
        for state in SaleState
        for target in SaleState
        if target in SALE_TRANSITIONS[state]
    ]
    lines += [f"    {name_of(state)} --> [*]" for state in SaleState if not SALE_TRANSITIONS[state]]
    return "\n".join(lines) + "\n"


def name_of(state: SaleState) -> str:
    return state.value.replace("-", "_")


def states_page(subject: str, diagram: str) -> str:
    article = "an" if subject.startswith("a") else "a"
    return f"# States of {article} {subject}\n\n{NOTE}\n```mermaid\n{diagram}```\n"


def main() -> None:
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
