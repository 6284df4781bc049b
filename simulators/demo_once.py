"""The loop of the demonstration, once: money becomes a token, the token closes a relay.

Every step is checked; the first that does not hold ends the demonstration with exit code 1.
"""

from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Final

from rich.console import Console
from rich.panel import Panel

from simulators.demo import DemoService, new_sale_key
from simulators.demo_commands import DemoError, run_meterctl, run_vending
from simulators.fleet import RunningFleet

CREATED: Final = 201
TENDER_MINOR: Final = 5000
DELIVERY_TIMEOUT_S: Final = 30
POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Tour:
    """What the loop works with."""

    folder: Path
    fleet: RunningFleet
    service: DemoService
    console: Console

    def step(self, text: str) -> None:
        """Say that a step held."""
        self.console.print(f"[green]ok[/]  {text}", highlight=False)


def run_once(tour: Tour) -> None:
    """Do the loop on one meter over Modbus TCP and on one over serial RTU.

    Raises:
        DemoError: A step did not hold.
    """
    drns = list(tour.fleet.meters)
    for drn in (drns[0], drns[-1]):
        _tour_meter(tour, drn)
    books = run_vending(tour.folder, "ledger", "verify")
    _require(books.get("ledger") == "verified", "the ledger does not verify", books)
    tour.step(f"ledger verify: {books['accounts']} accounts, debits equal credits")


def _tour_meter(tour: Tour, drn: str) -> None:
    link = tour.fleet.link(drn)
    tour.console.rule(f"meter {drn} at {link.partition('?')[0]}")
    before = _read_credit(tour, link)
    _require(before["balance_wh"] == 0, "the meter starts without credit", before)
    _require(before["relay"]["actual"] == "open", "the relay starts open", before)
    tour.step("the meter has no credit, its relay is open")
    key = new_sale_key()
    sold = tour.service.sell(drn, TENDER_MINOR, key)
    _require(sold.status == CREATED, "the sale is accepted", sold.body)
    sale = sold.json()
    tour.console.print(Panel("\n".join(sale["receipt"]["lines"]), expand=False), highlight=False)
    token = sale["tokens"][0]
    tour.step(f"sold {sale['tender']['decimal']} {sale['tender']['currency']}: a 20-digit token")
    _await_delivery(tour, sale["id"])
    after = _read_credit(tour, link)
    _require(0 < after["balance_wh"] <= token["energy_wh"], "the credit arrived", after)
    _require(after["relay"]["actual"] == "closed", "the relay closed", after)
    tour.step(f"delivered: {after['balance_wh']} Wh of credit, relay closed")
    again = run_meterctl(tour.folder, "token", link, token["digits"])
    _require(again.get("code") == "used_error", "the token is used up", again)
    tour.step(f"the same token again: used ({again['message']})")
    repeat = tour.service.sell(drn, TENDER_MINOR, key)
    _require(repeat.body == sold.body, "a repeat gives the same answer", repeat.body)
    headers = {name.lower(): value for name, value in repeat.headers.items()}
    _require(headers.get("idempotency-replayed") == "true", "it is marked as replayed", headers)
    tour.step("the same Idempotency-Key again: the identical answer, byte for byte")


def _read_credit(tour: Tour, link: str) -> dict[str, Any]:
    told = run_meterctl(tour.folder, "read", link)
    _require("credit" in told, "the meter can be read", told)
    credit: dict[str, Any] = told["credit"]
    return credit


def _await_delivery(tour: Tour, sale_id: str) -> None:
    pause = Event()
    status: dict[str, Any] = {}
    for _ in range(round(DELIVERY_TIMEOUT_S / POLL_S)):
        status = tour.service.get(f"/v1/sales/{sale_id}").json()
        delivery = status.get("delivery") or {}
        if delivery.get("state") in {"done", "refused", "needs-human"}:
            break
        pause.wait(POLL_S)
    _require(
        (status.get("delivery") or {}).get("state") == "done", "the token is delivered", status
    )


def _require(held: bool, what: str, seen: object) -> None:  # noqa: FBT001 # reads as an assertion
    if not held:
        message = f"this did not hold: {what}; seen: {seen!r}"
        raise DemoError(message)
