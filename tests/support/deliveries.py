"""Meters with tokens to deliver, and a gateway whose meters do as the test planned.

The rows are what the services of the register and of the tokens write; the sale behind a token is
a row and no more. `ScriptedGateway` implements the port of `vending.delivery`: its meters keep
the tokens they took, as a meter keeps its identifiers, so that a test can count the credit.
"""

import itertools
import threading
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from typing import Any

from sqlalchemy import Connection, insert, select, update

from tests.support.partners import add_unlimited_partner
from tests.support.policies import ANY_HOUR, set_policies
from tests.support.tariffs import add_version
from vending.campaigns.service.deliveries import open_set
from vending.commands import service as commands
from vending.commands.model import Command, CommandKind, NewCommand, TryOutcome, TryResult
from vending.delivery.port import MeterAddress, RelayPosition
from vending.delivery.service import Delivery
from vending.keystore.errors import SealBrokenError
from vending.keystore.sealing import Keyring, Purpose
from vending.meters.model import Meter, NewMeter
from vending.meters.service import register_meter
from vending.meters.tables import meters
from vending.observability.metrics import Metrics
from vending.persistence.engine import Database
from vending.policies.model import PolicyName
from vending.sales.tables import sales
from vending.sts.keys import SGC, TI, EncryptionAlgorithm, KeyDerivation, KeyType
from vending.sts.pan import MeterPAN, luhn_check_digit
from vending.sts.tid import BaseDate
from vending.tariffs.model import TariffDraft
from vending.tokens.model import NewToken, TokenKind, TokenRecord
from vending.tokens.service.sealed import open_tokens, store_tokens
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock
from vending.values.identifiers import CommandId, MeterId, SaleId, TokenId, new_uuid7
from vending.values.money import Currency

KES = Currency("KES")
UNITS = 100


@dataclass(frozen=True)
class IssuedToken:
    """A token that waits for its delivery."""

    meter: Meter
    sale_id: SaleId
    token_id: TokenId
    digits: str

    @property
    def payload(self) -> dict[str, Any]:
        return {
            "sale_id": str(self.sale_id),
            "token_id": str(self.token_id),
            "meter_id": str(self.meter.id),
        }

    def command(self) -> NewCommand:
        return NewCommand(
            kind=CommandKind.ENTER_TOKEN,
            meter_id=self.meter.id,
            sale_id=self.sale_id,
            token_id=self.token_id,
            dedupe_key=f"sale:{self.sale_id}",
            reason="sale",
            requested_by="sale",
        )


class Town:
    """Meters, sales and tokens in one database."""

    def __init__(
        self,
        database: Database,
        clock: FixedClock,
        hours: Mapping[PolicyName, object] | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.sealer = Keyring.generate().sealer(Purpose.ISSUED_TOKENS)
        self._numbers = itertools.count(1)
        set_policies(database, clock, hours or ANY_HOUR)
        self._partner = add_unlimited_partner(database, "Kiosk", KES, clock=clock)
        draft = TariffDraft(
            code="RES-1",
            currency=KES,
            price_per_kwh_micro=20_000_000,
            vat_basis_points=1600,
            effective_from=clock.now() + timedelta(seconds=1),
        )
        self._tariff = add_version(database, draft, clock=clock)

    def add_meter(self, *, is_linked: bool = True, link: str | None = None) -> Meter:
        number = next(self._numbers)
        body = f"01{number:08d}"
        return register_meter(
            self.database,
            NewMeter(
                pan=MeterPAN.from_drn(body + luhn_check_digit(body)),
                sgc=SGC("123457"),
                krn=1,
                kt=KeyType.DUTK,
                ti=TI("01"),
                ea=EncryptionAlgorithm.STA,
                dkga=KeyDerivation.DKGA04,
                base_date=BaseDate.Y2014,
                tariff_code="RES-1",
                currency=KES,
                profile="reference_prepay" if is_linked else None,
                link=(link or f"modbus-tcp://127.0.0.1:502/{number}") if is_linked else None,
            ),
            by=SYSTEM,
            clock=self.clock,
        )

    def cut_link(self, meter: Meter) -> None:
        self._change_meter(meter, link=None)

    def set_profile(self, meter: Meter, profile: str) -> None:
        self._change_meter(meter, profile=profile)

    def _change_meter(self, meter: Meter, **values: str | None) -> None:
        with self.database.unit_of_work() as uow:
            uow.connection.execute(update(meters).where(meters.c.id == meter.id).values(values))
            uow.commit()

    def issue(self, meter: Meter, digits: str | None = None) -> IssuedToken:
        number = next(self._numbers)
        sale_id, token_id = SaleId(new_uuid7(self.clock)), TokenId(new_uuid7(self.clock))
        shown = digits or f"{number:020d}"
        record = TokenRecord(
            id=token_id,
            sale_id=sale_id,
            meter_id=meter.id,
            meter_pan=meter.pan,
            base_date=meter.base_date,
            tid=number,
            rnd=5,
            kind=TokenKind.TRANSFER_CREDIT,
            units=UNITS,
            sgc=meter.sgc,
            krn=meter.krn,
            last_four=shown[-4:],
            issued_at=self.clock.now(),
        )
        with self.database.unit_of_work() as uow:
            uow.connection.execute(insert(sales).values(self._sale_row(meter, sale_id, number)))
            store_tokens(uow.connection, [NewToken(record, shown)], self.sealer)
            uow.commit()
        return IssuedToken(meter, sale_id, token_id, shown)

    def queue(self, *new: NewCommand) -> list[Command]:
        with self.database.unit_of_work() as uow:
            queued = commands.queue_commands(uow.connection, new, self.clock)
            uow.commit()
        return queued

    def order_relay(self, meter: Meter, kind: CommandKind) -> Command:
        new = NewCommand(
            kind=kind,
            meter_id=meter.id,
            dedupe_key=f"relay:{uuid.uuid4()}",
            reason="test",
            requested_by="operator",
        )
        return self.queue(new)[0]

    def command(self, command_id: CommandId) -> Command:
        with self.database.read() as connection:
            return commands.load_command(connection, command_id)

    def open_digits(self, connection: Connection, token_id: TokenId) -> str:
        return open_tokens(connection, [token_id], self.sealer)[token_id].digits

    def find_addresses(
        self, connection: Connection, meter_ids: Collection[MeterId]
    ) -> Mapping[MeterId, MeterAddress]:
        query = select(meters.c.id, meters.c.link, meters.c.profile).where(
            meters.c.id.in_(meter_ids), meters.c.link.is_not(None)
        )
        return {
            MeterId(row.id): MeterAddress(row.link, row.profile)
            for row in connection.execute(query)
        }

    def _sale_row(self, meter: Meter, sale_id: SaleId, number: int) -> dict[str, Any]:
        """Return a row that pays for itself; its amounts mean nothing here."""
        amounts = ("brought_forward", "vat", "carried_forward", "rounding_expense")
        return {
            "id": sale_id,
            "partner_id": self._partner.id,
            "idempotency_key": str(sale_id),
            "state": "released",
            "receipt_number": str(sale_id),
            "meter_id": meter.id,
            "meter_pan": meter.pan.digits,
            "tariff_id": self._tariff.id,
            "tariff_code": self._tariff.code,
            "tariff_version": self._tariff.version,
            "currency": "KES",
            **{f"{name}_minor": 0 for name in amounts},
            "tender_minor": 100,
            "net_minor": 100,
            "units": UNITS,
            "units_on_token": UNITS,
            "base_date": int(meter.base_date),
            "tid": number,
            "rnd": 5,
            "sgc": meter.sgc.digits,
            "krn": meter.krn,
            "kt": int(meter.kt),
            "ti": meter.ti.digits,
            "ea": int(meter.ea),
            "resource": int(meter.resource),
            "created_at": self.clock.now(),
            "changed_at": self.clock.now(),
        }


class Crash(BaseException):
    """The process dies here; nothing of ours may catch it."""


class Plan(Enum):
    """What happens to one request on its way to a meter."""

    ANSWER = auto()
    LOSE_REQUEST = auto()
    LOSE_ANSWER = auto()
    UNREACHABLE = auto()
    LOCKED_OUT = auto()
    CRASH_BEFORE = auto()
    CRASH_AFTER = auto()


@dataclass
class ScriptedGateway:
    """The port over meters in memory; without a plan for a meter, everything is answered."""

    plans: dict[str, deque[Plan]] = field(default_factory=lambda: defaultdict(deque))
    refusals: dict[str, TryResult] = field(default_factory=dict)
    """What the meter says of some digits."""
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each meter credited each token."""
    relays: dict[str, RelayPosition] = field(default_factory=dict)
    relay_reads: int = 0
    stuck: set[str] = field(default_factory=set)
    """Links of meters whose relay does not move."""
    overlaps: int = 0
    """How often a meter was spoken to by two at once."""
    sent: list[tuple[str, str]] = field(default_factory=list)
    while_sending: Callable[[], None] | None = None
    """What happens elsewhere meanwhile."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _busy: set[str] = field(default_factory=set)

    def plan(self, meter: Meter, *plans: Plan) -> None:
        assert meter.link is not None
        self.plans[meter.link].extend(plans)

    def deliver_token(self, address: MeterAddress, digits: str) -> TryResult:
        return self._carry(address, digits, lambda: self._enter(address, digits))

    def deliver_key_change(self, address: MeterAddress, sections: Sequence[str]) -> TryResult:
        return self._carry(
            address, " ".join(sections), lambda: self._enter(address, " ".join(sections))
        )

    def switch_relay(self, address: MeterAddress, wanted: RelayPosition) -> TryResult:
        return self._carry(address, wanted.value, lambda: self._switch(address, wanted))

    def read_relay(self, address: MeterAddress) -> RelayPosition | TryResult:
        self.relay_reads += 1
        plans = self.plans[address.link]
        if plans and plans[0] is Plan.UNREACHABLE:
            plans.popleft()
            return TryResult(TryOutcome.NOT_REACHED, "connection_lost")
        return self.relays.get(address.link, RelayPosition.CLOSED)

    def credits_of(self, token: IssuedToken) -> int:
        return self.taken[token.meter.link or "", token.digits]

    def _carry(self, address: MeterAddress, what: str, act: Callable[[], TryResult]) -> TryResult:
        self._enter_line(address)
        if self.while_sending is not None:
            self.while_sending()
        try:
            with self._lock:
                plans = self.plans[address.link]
                plan = plans.popleft() if plans else Plan.ANSWER
                if plan in _UNTOUCHED:
                    return _UNTOUCHED[plan]
                self.sent.append((address.link, what))
                if plan is Plan.CRASH_BEFORE:
                    raise Crash
                result = (
                    TryResult(TryOutcome.UNKNOWN, "link_timeout")
                    if plan is Plan.LOSE_REQUEST
                    else act()
                )
                if plan is Plan.CRASH_AFTER:
                    raise Crash
                if plan is Plan.LOSE_ANSWER:
                    return TryResult(TryOutcome.UNKNOWN, "link_timeout")
                return result
        finally:
            with self._lock:
                self._busy.discard(address.link)

    def _enter_line(self, address: MeterAddress) -> None:
        with self._lock:
            self.overlaps += address.link in self._busy
            self._busy.add(address.link)

    def _enter(self, address: MeterAddress, digits: str) -> TryResult:
        if digits in self.refusals:
            return self.refusals[digits]
        if self.taken[address.link, digits]:
            return TryResult(TryOutcome.APPLIED_BEFORE, "UsedError")
        self.taken[address.link, digits] += 1
        return TryResult(TryOutcome.DONE, "Accept")

    def _switch(self, address: MeterAddress, wanted: RelayPosition) -> TryResult:
        if address.link in self.stuck:
            return TryResult(TryOutcome.UNKNOWN, "relay_did_not_move")
        self.relays[address.link] = wanted
        return TryResult(TryOutcome.DONE, wanted.value)


_UNTOUCHED = {
    Plan.UNREACHABLE: TryResult(TryOutcome.NOT_REACHED, "connection_lost"),
    Plan.LOCKED_OUT: TryResult(TryOutcome.NOT_NOW, "LockedOut"),
}


def make_delivery(
    town: Town,
    gateway: ScriptedGateway,
    *,
    broken_seals: Collection[TokenId] = (),
    crash_in: str = "",
) -> Delivery:
    def open_digits(connection: Connection, token_id: TokenId) -> str:
        if crash_in == "lease":
            raise Crash
        if token_id in broken_seals:
            raise SealBrokenError(Purpose.ISSUED_TOKENS)
        return town.open_digits(connection, token_id)

    return Delivery(
        database=town.database,
        clock=town.clock,
        gateway=gateway,
        find_addresses=town.find_addresses,
        open_digits=open_digits,
        open_sections=lambda connection, set_id: open_set(connection, set_id, town.sealer),
        metrics=Metrics(),
    )
