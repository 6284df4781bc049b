"""The meters of a campaign's fleet: one on a line with its worker, one typed into."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from simulators.token_acceptor import AcceptorState, KeyState, MeterKind, accept
from tests.support.campaigns import Fleet
from tests.support.deliveries import ScriptedGateway
from vending.commands.model import TryOutcome, TryResult
from vending.delivery.service import Delivery, deliver_due
from vending.keystore.model import KeyReference
from vending.meters.service import change_link
from vending.sts.dkga import derive_decoder_key
from vending.values.actor import SYSTEM
from vending.worker.context import make_context
from vending.worker.jobs import HANDLERS, relay_outbox

LINK: Final = "modbus-tcp://127.0.0.1:502/1"


class Round:
    """The fleet with its first meter on a line, and the worker's way there."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.gateway = ScriptedGateway()
        change_link(
            fleet.database,
            fleet.shop.meters[0].pan,
            profile="reference_prepay",
            link=LINK,
            by=SYSTEM,
            clock=fleet.clock,
        )
        fleet.shop.meters[0] = fleet.meter()
        self.context = make_context(fleet.shop.container())
        self.delivery: Delivery = replace(self.context.delivery, gateway=self.gateway)

    def relay(self) -> None:
        """Hand the outbox to its handlers."""

        def attempt(name: str, action: Callable[[], None]) -> Exception | None:
            del name
            action()
            return None

        while relay_outbox(self.context, attempt, HANDLERS):
            pass

    def deliver(self, *, after: timedelta = timedelta(0)) -> None:
        self.fleet.clock.advance(after)
        while deliver_due(self.delivery):
            self.fleet.clock.advance(timedelta(milliseconds=5))

    def refuse_sets(self) -> None:
        self.gateway.refusals = RefuseSets(TryResult(TryOutcome.REFUSED_UNSEEN, "crc_error"))

    @property
    def sent(self) -> list[int]:
        """How many tokens each order to the meter had: 2 for a set, 1 for credit."""
        return [len(what.split()) for _, what in self.gateway.sent]


class RefuseSets(dict[str, TryResult]):
    """A meter that refuses sets and takes anything else."""

    def __init__(self, result: TryResult) -> None:
        super().__init__()
        self._result = result

    def __contains__(self, digits: object) -> bool:
        return " " in str(digits)

    def __getitem__(self, digits: str) -> TryResult:
        return self._result


class Acceptor:
    """A customer's meter, typed into."""

    def __init__(self, fleet: Fleet, place: int = 0) -> None:
        held = fleet.shop.meters[place]
        key = derive_decoder_key(
            fleet.shop.store.vending_key(KeyReference(held.sgc, held.krn, held.kt)),
            pan=held.pan,
            ti=held.ti,
            ea=held.ea,
        )
        keys = KeyState(key, held.sgc, held.kt, krn=held.krn, ken=255, ti=held.ti)
        self.state = AcceptorState(MeterKind(), keys)

    def type(self, digits: str) -> str:
        acceptance = accept(self.state, digits, at_ms=0, room=10**9)
        self.state = acceptance.state
        return acceptance.result.value
