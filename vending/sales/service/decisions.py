"""Loads what a batch of requests is decided on, under the locks of its meters, and decides."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from vending.campaigns.service.deliveries import with_keys_to_sell_under
from vending.custody.model import Stops
from vending.custody.service.limits import load_stops
from vending.errors import ErrorKind, VendingError
from vending.keystore.model import KeyReference
from vending.ledger.service import read_balances
from vending.meters.errors import MeterNotFoundError
from vending.meters.model import Meter
from vending.meters.service import load_last_tids, lock_meters
from vending.partners.service import load_lines
from vending.sales import repository
from vending.sales.errors import QuoteNotFoundError, QuoteUsedError
from vending.sales.model import StoredQuote, VendRequest
from vending.sales.rules import Draft, Standing, decide, meter_credit_code
from vending.sales.service.desk import SalesDesk
from vending.sts import MeterPAN
from vending.tariffs.errors import TariffNotFoundError
from vending.tariffs.model import Tariff
from vending.tariffs.service import find_effective
from vending.values.identifiers import PartnerId, QuoteId
from vending.values.money import Money


class PassingRefusals(Exception):  # noqa: N818 # no error: it carries refusals out of a transaction
    """Rolls a transaction back because some of its requests must leave nothing behind."""

    def __init__(self, errors: Mapping[int, VendingError]) -> None:
        super().__init__()
        self.errors = errors


def is_passing(error: VendingError) -> bool:
    """Return whether the refusal may pass by itself, so that no answer is stored for it."""
    return error.retryable or error.kind is ErrorKind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Situation:
    """What the meters and quotes of a batch look like, under lock."""

    now: datetime
    """Read when the locks were held: the sales of a meter are dated in their order."""
    meters: Mapping[MeterPAN, Meter]
    tariffs: Mapping[str, Tariff]
    credits_minor: Mapping[MeterPAN, int]
    last_tids: Mapping[MeterPAN, int]
    busy: Collection[MeterPAN]
    quotes: Mapping[tuple[PartnerId, QuoteId], StoredQuote]
    used_quotes: Collection[QuoteId]
    lines: Mapping[PartnerId, int]
    """Credit lines of the partners that have one."""
    stops: Stops

    def standing_of(self, pan: MeterPAN) -> Standing:
        """Return where the meter stands.

        Raises:
            MeterNotFoundError: The register has none of this number.
            TariffNotFoundError: No version of its tariff has started.
        """
        meter = self.meters.get(pan)
        if meter is None:
            raise MeterNotFoundError(pan.iain)
        tariff = self.tariffs.get(meter.tariff_code)
        if tariff is None:
            raise TariffNotFoundError(meter.tariff_code, self.now)
        return Standing(
            meter=meter,
            tariff=tariff,
            credit=Money(self.credits_minor.get(pan, 0), meter.currency),
            last_tid=self.last_tids.get(pan),
            is_busy=pan in self.busy,
        )

    def require_open(self, request: VendRequest, meter: Meter) -> None:
        """Go on only where no kill switch stands in the way.

        Raises:
            IssuingStoppedError: One does.
        """
        self.stops.require_open(
            KeyReference(meter.sgc, meter.krn, meter.kt),
            partner_id=request.partner_id,
            outlet=request.outlet,
        )

    def quote_of(self, request: VendRequest) -> StoredQuote | None:
        """Return the quote a request sells under; None: it names none.

        Raises:
            QuoteNotFoundError: The partner has no such quote.
            QuoteUsedError: A sale was made under it.
        """
        if request.quote_id is None:
            return None
        stored = self.quotes.get((request.partner_id, request.quote_id))
        if stored is None:
            raise QuoteNotFoundError(request.quote_id)
        if stored.id in self.used_quotes:
            raise QuoteUsedError(stored.id)
        return stored


def decide_all(
    requests: Mapping[int, VendRequest],
    pans: Mapping[int, MeterPAN],
    situation: Situation,
    desk: SalesDesk,
) -> dict[int, Draft | VendingError]:
    """Return what each request becomes: a draft, or its refusal."""
    return {
        index: _decide_one(request, pans[index], situation, desk)
        for index, request in requests.items()
    }


def load_situation(
    connection: Connection,
    requests: Mapping[int, VendRequest],
    pans: Mapping[int, MeterPAN],
    desk: SalesDesk,
) -> Situation:
    """Lock the meters, then load all that the batch is decided on, in a fixed number of queries.

    Raises:
        ClockJumpedError: The clock cannot be trusted, so nothing new may be dated.
    """
    locked = lock_meters(connection, {pans[index] for index in requests})
    meters = with_keys_to_sell_under(connection, locked)
    now = desk.clock_guard.require_trusted(connection)
    quote_ids = {one.quote_id for one in requests.values() if one.quote_id is not None}
    codes = {pan: meter_credit_code(pan, meter.currency) for pan, meter in meters.items()}
    balances = read_balances(connection, codes.values())
    tid_keys = {pan: (pan, meter.base_date) for pan, meter in meters.items()}
    last_tids = load_last_tids(connection, tid_keys.values())
    busy = repository.find_busy_meters(connection, {meter.id for meter in meters.values()})
    return Situation(
        now=now,
        meters=meters,
        tariffs=find_effective(connection, {m.tariff_code for m in meters.values()}, now),
        credits_minor={
            pan: balances[code].minor for pan, code in codes.items() if code in balances
        },
        last_tids={pan: last_tids[key] for pan, key in tid_keys.items() if key in last_tids},
        busy={pan for pan, meter in meters.items() if meter.id in busy},
        quotes=repository.load_quotes(connection, quote_ids) if quote_ids else {},
        lines=load_lines(connection, {one.partner_id for one in requests.values()}),
        used_quotes=repository.find_used_quotes(connection, quote_ids) if quote_ids else set(),
        stops=load_stops(connection),
    )


def _decide_one(
    request: VendRequest, pan: MeterPAN, situation: Situation, desk: SalesDesk
) -> Draft | VendingError:
    try:
        standing = situation.standing_of(pan)
        situation.require_open(request, standing.meter)
        return decide(
            request,
            standing,
            situation.quote_of(request),
            now=situation.now,
            tid_ahead_limit_min=desk.limits.tid_ahead_limit_min,
        )
    except VendingError as refusal:
        return refusal
