"""Meters on disk: one JSON file a meter, replaced as a whole, so that a power cut harms nothing.

What decides about the next token (TIDs, key, held sections) and what the last ones did (credit)
stand in one file and change together. The files hold decoder keys, so only their owner may read
them.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final

from meter_drivers.errors import ProfileError
from meter_drivers.profiles.toml_table import TOMLTable
from meter_drivers.protocols.modbus.credit import (
    CREDIT_REGISTER_COUNT,
    CreditResult,
    SignedCreditOrder,
)
from simulators.meter import (
    MS_PER_HOUR,
    Event,
    EventKind,
    Hold,
    MeterState,
    RelayPosition,
    Settings,
    Tamper,
)
from simulators.prepaid_meter import (
    EntryRecord,
    OrderRecord,
    PrepaidMeter,
    PurchaseBook,
    PurchaseRecord,
)
from simulators.token_acceptor import (
    ENTRY_RESULTS,
    TID_MEMORY_SIZE,
    WRONG_ENTRIES_MAX,
    AcceptorState,
    KeyState,
)
from vending.sts import (
    SGC,
    TI,
    DecoderKey,
    KeyType,
    Rejection,
    SectionToken,
    Set1stSectionDecoderKey,
    Set2ndSectionDecoderKey,
    Set3rdSectionDecoderKey,
    Set4thSectionDecoderKey,
    STSError,
    TokenDigits,
    decode,
    encode,
)

FORMAT: Final = 1
_OWNER_ONLY: Final = 0o600
_COUNT_MAX: Final = 1 << 62


class StateFileError(Exception):
    """The stored state of a meter cannot be read or written; the message says what to do."""


class StateUnreadableError(StateFileError):
    """A file is there, and is no state of this meter."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"cannot use the stored state {path}: {reason}; move the file away to start this "
            "meter as the fleet file describes it"
        )


class StateFolder:
    """Keeps the state of each meter in a folder, a file a DRN."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            StateFileError: It cannot be made.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            message = f"cannot make the folder {self._folder} ({error.strerror}); choose another"
            raise StateFileError(message) from error

    def save(self, meter: PrepaidMeter) -> None:
        """Replace the file of a meter; after this returns a power cut keeps the new state.

        Raises:
            StateFileError: The disk does not take it.
        """
        path = self._path(meter.drn.digits)
        draft = path.with_suffix(".new")
        text = json.dumps(to_document(meter), indent=1)
        try:
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            self._flush_folder()
        except OSError as error:
            message = f"cannot write {path} ({error.strerror}); make room or correct its rights"
            raise StateFileError(message) from error

    def _flush_folder(self) -> None:
        """Have the disk keep the new name too, which is an entry of the folder."""
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def restore(self, meter: PrepaidMeter) -> PrepaidMeter:
        """Return the meter as it was saved last, or as given if it never was.

        Raises:
            StateUnreadableError: The file cannot be read, or is not one of ours.
        """
        path = self._path(meter.drn.digits)
        try:
            document = json.loads(path.read_text("ascii"))
            if not isinstance(document, dict):
                raise StateUnreadableError(path, "it holds no object")
            return from_document(TOMLTable(str(path), "", document), meter)
        except FileNotFoundError:
            return meter
        except OSError as error:
            raise StateUnreadableError(path, str(error.strerror)) from error
        except (ProfileError, STSError, ValueError) as error:
            raise StateUnreadableError(path, str(error)) from error

    def _path(self, drn: str) -> Path:
        return self._folder / f"{drn}.json"


# --- writing ------------------------------------------------------------------------------------
_PLAIN_COUNTS: Final = (
    "at_ms",
    "energy_initial_wh",
    "consumed_wh",
    "rest_wms",
    "accepted_wh",
    "cleared_wh",
    "purchase_count",
    "load_w",
    "overload_trips",
    "event_count",
)
_SETTINGS: Final = (
    "power_limit_w",
    "phase_unbalance_limit_w",
    "tariff_rate",
    "water_meter_factor",
)


def to_document(meter: PrepaidMeter) -> dict[str, object]:
    """Return what is stored of a meter: all that changes, and no rating."""
    return {
        "format": FORMAT,
        "electric": _electric_document(meter.electric),
        "acceptor": _acceptor_document(meter.acceptor),
        "entries": _without_none(
            {
                "count": meter.entries.count,
                "result": meter.entries.result and meter.entries.result.value,
                "digest": meter.entries.digest,
                "last_credit_tid": meter.entries.last_credit_tid,
            }
        ),
        "orders": _without_none(
            {
                "done": meter.orders.done and _to_text(meter.orders.done),
                "attempt_seq": meter.orders.attempt_seq,
                "attempt_result": int(meter.orders.attempt_result),
            }
        ),
        "purchases": _purchases_document(meter.purchases),
    }


def _electric_document(state: MeterState) -> dict[str, object]:
    settings = state.settings
    return _without_none(
        {
            **{name: int(getattr(state, name)) for name in _PLAIN_COUNTS},
            "ordered": int(state.ordered),
            "actual": int(state.actual),
            "holds": int(state.holds),
            "tamper": int(state.tamper),
            "low_credit": int(state.low_credit),
            "settles_at_ms": state.settles_at_ms,
            "overload_retry_at_ms": state.overload_retry_at_ms,
            "settings": _without_none({name: getattr(settings, name) for name in _SETTINGS}),
            "events": [
                {
                    "sequence": event.sequence,
                    "at_ms": event.at_ms,
                    "kind": int(event.kind),
                    "detail": event.detail,
                }
                for event in state.events
            ],
        }
    )


def _acceptor_document(state: AcceptorState) -> dict[str, object]:
    keys = state.keys
    return {
        "decoder_key": keys.decoder_key.material.hex(),
        "sgc": keys.sgc.digits,
        "kt": int(keys.kt),
        "krn": keys.krn,
        "ken": keys.ken,
        "ti": keys.ti.digits,
        "tids": list(state.tids),
        "sections": [encode(section, keys.decoder_key) for section in state.sections],
        "wrong_entry_count": state.wrong_entry_count,
        "lockout_count": state.lockout_count,
        "locked_until_ms": state.locked_until_ms,
    }


def _purchases_document(book: PurchaseBook) -> dict[str, object]:
    """Return the wallet without its session, which ends with the power."""
    wallet = book.wallet
    day = wallet.mac_failures_on
    return _without_none(
        {
            "count": wallet.count,
            "customer_number": wallet.customer_number,
            "is_open": int(wallet.is_open),
            "hoarding_limit_minor": wallet.hoarding_limit_minor,
            "mac_failures": wallet.mac_failures,
            "mac_failures_on": day and day.toordinal(),
            "last_order": wallet.last_order and wallet.last_order.hex(),
            "cumulative_minor": book.cumulative_minor,
            "records": [
                {name: getattr(record, name) for name in _RECORD} for record in book.records
            ],
        }
    )


_RECORD: Final = ("at_ms", "count", "amount_minor", "before_minor", "after_minor")


def _to_text(order: SignedCreditOrder) -> str:
    """Return the registers of a credit order, four hex digits each."""
    return " ".join(f"{word:04x}" for word in order.to_registers())


def _without_none(values: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}


# --- reading ------------------------------------------------------------------------------------
def from_document(root: TOMLTable, meter: PrepaidMeter) -> PrepaidMeter:
    """Return a meter with its stored state; rating, kind and site key stay as given.

    Raises:
        ProfileError: A key is missing, unknown or out of bounds.
        ValueError: A code is unknown.
    """
    root.integer("format", lowest=FORMAT, highest=FORMAT)
    restored = replace(
        meter,
        electric=_read_electric(root.table("electric"), meter.electric),
        acceptor=_read_acceptor(root.table("acceptor"), meter.acceptor),
        entries=_read_entries(root.table("entries")),
        orders=_read_orders(root.table("orders")),
        purchases=_read_purchases(root.find_table("purchases"), meter.purchases),
    )
    root.finish()
    return restored


def _read_electric(table: TOMLTable, given: MeterState) -> MeterState:
    settings = table.table("settings")
    electric = replace(
        given,
        at_ms=_count(table, "at_ms"),
        energy_initial_wh=_count(table, "energy_initial_wh"),
        consumed_wh=_count(table, "consumed_wh"),
        rest_wms=table.integer("rest_wms", lowest=0, highest=MS_PER_HOUR - 1),
        accepted_wh=_count(table, "accepted_wh"),
        cleared_wh=_count(table, "cleared_wh", lowest=-_COUNT_MAX),
        purchase_count=_count(table, "purchase_count"),
        load_w=_count(table, "load_w"),
        overload_trips=_count(table, "overload_trips"),
        event_count=_count(table, "event_count"),
        ordered=RelayPosition(_count(table, "ordered")),
        actual=RelayPosition(_count(table, "actual")),
        holds=Hold(_count(table, "holds")),
        tamper=Tamper(_count(table, "tamper")),
        low_credit=bool(_count(table, "low_credit")),
        settles_at_ms=_find_count(table, "settles_at_ms"),
        overload_retry_at_ms=_find_count(table, "overload_retry_at_ms"),
        settings=Settings(**{name: _find_count(settings, name) for name in _SETTINGS}),
        events=tuple(_read_event(event) for event in table.tables("events")),
    )
    settings.finish()
    table.finish()
    return electric


def _read_event(table: TOMLTable) -> Event:
    event = Event(
        sequence=_count(table, "sequence"),
        at_ms=_count(table, "at_ms"),
        kind=EventKind(_count(table, "kind")),
        detail=_count(table, "detail", lowest=-_COUNT_MAX),
    )
    table.finish()
    return event


def _read_acceptor(table: TOMLTable, given: AcceptorState) -> AcceptorState:
    key = DecoderKey(bytes.fromhex(table.text("decoder_key")), given.keys.decoder_key.ea)
    acceptor = AcceptorState(
        kind=given.kind,
        keys=KeyState(
            decoder_key=key,
            sgc=SGC(table.text("sgc")),
            kt=KeyType(_count(table, "kt")),
            krn=table.integer("krn", lowest=1, highest=9),
            ken=table.integer("ken", lowest=0, highest=255),
            ti=TI(table.text("ti")),
        ),
        tids=tuple(sorted(table.integers("tids"))[-TID_MEMORY_SIZE:]),
        sections=tuple(
            _read_section(table, TokenDigits(digits), key) for digits in table.texts("sections")
        ),
        wrong_entry_count=table.integer("wrong_entry_count", lowest=0, highest=WRONG_ENTRIES_MAX),
        lockout_count=_count(table, "lockout_count"),
        locked_until_ms=_count(table, "locked_until_ms"),
    )
    table.finish()
    return acceptor


def _read_section(table: TOMLTable, digits: TokenDigits, key: DecoderKey) -> SectionToken:
    token = decode(digits, key)
    if isinstance(token, Rejection) or not isinstance(token, _SECTION_TOKENS):
        raise table.error(key="sections", problem="an item is no section", remedy="remove it")
    return token


_SECTION_TOKENS: Final = (
    Set1stSectionDecoderKey,
    Set2ndSectionDecoderKey,
    Set3rdSectionDecoderKey,
    Set4thSectionDecoderKey,
)


def _read_entries(table: TOMLTable) -> EntryRecord:
    result = table.text("result") if table.has("result") else None
    if result is not None and result not in ENTRY_RESULTS:
        raise table.error(key="result", problem=f"{result!r} is unknown", remedy="remove it")
    entries = EntryRecord(
        count=_count(table, "count"),
        result=None if result is None else ENTRY_RESULTS[result],
        digest=_count(table, "digest"),
        last_credit_tid=_find_count(table, "last_credit_tid"),
    )
    table.finish()
    return entries


def _read_orders(table: TOMLTable) -> OrderRecord:
    done = None
    if table.has("done"):
        words = [int(word, 16) for word in table.text("done").split()]
        if len(words) != CREDIT_REGISTER_COUNT:
            raise table.error(key="done", problem="it is no credit order", remedy="remove it")
        done = SignedCreditOrder.from_registers(words)
    orders = OrderRecord(
        done=done,
        attempt_seq=_count(table, "attempt_seq"),
        attempt_result=CreditResult(_count(table, "attempt_result")),
    )
    table.finish()
    return orders


def _read_purchases(table: TOMLTable | None, given: PurchaseBook) -> PurchaseBook:
    """Return the book with its stored wallet; as given where a file is older than wallets."""
    if table is None:
        return given
    day = _find_count(table, "mac_failures_on")
    wallet = replace(
        given.wallet,
        count=_count(table, "count"),
        customer_number=table.text("customer_number"),
        is_open=_count(table, "is_open") == 1,
        hoarding_limit_minor=_count(table, "hoarding_limit_minor"),
        mac_failures=_count(table, "mac_failures"),
        mac_failures_on=None if day is None else date.fromordinal(day),
        last_order=bytes.fromhex(table.text("last_order")) if table.has("last_order") else None,
    )
    book = replace(
        given,
        wallet=wallet,
        records=tuple(_read_purchase(each) for each in table.tables("records")),
        cumulative_minor=_count(table, "cumulative_minor"),
    )
    table.finish()
    return book


def _read_purchase(table: TOMLTable) -> PurchaseRecord:
    record = PurchaseRecord(**{name: _count(table, name) for name in _RECORD})
    table.finish()
    return record


def _count(table: TOMLTable, key: str, *, lowest: int = 0) -> int:
    return table.integer(key, lowest=lowest, highest=_COUNT_MAX)


def _find_count(table: TOMLTable, key: str) -> int | None:
    return _count(table, key) if table.has(key) else None
