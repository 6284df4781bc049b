"""What a DL/T 645 meter tells: who it is, its data, its wallet."""

from datetime import date, time
from typing import Final

from meter_drivers.capabilities import Identity, WalletReport
from meter_drivers.drivers.dlt645_line import DLT645Line, report_relay
from meter_drivers.errors import MeterRefusedError, ProfileError, RemoteProtocolError
from meter_drivers.profiles.dlt645_part import Counts, DataSpec, NumberCoding, WalletSpec
from meter_drivers.protocols.dlt645.identifiers import DataItem, Form, find_item, identifier_of
from meter_drivers.protocols.dlt645.prepaid import (
    AmountCoding,
    PrepaidDialect,
    SecurityFunction,
    SecurityRequest,
)
from meter_drivers.protocols.dlt645.purchases import WalletStatus
from meter_drivers.protocols.dlt645.status_words import MeterKind, StatusWord3
from meter_drivers.protocols.dlt645.values import Value
from meter_drivers.registers import Reading, Unit

ADDRESS: Final = identifier_of("address")
OVERDRAFTS: Final = {
    Counts.MONEY: identifier_of("credit.money_overdraft"),
    Counts.ENERGY: identifier_of("credit.energy_overdraft"),
}
KINDS: Final = {Counts.MONEY: MeterKind.MONEY_PREPAID, Counts.ENERGY: MeterKind.ENERGY_PREPAID}
WH_PER_MINOR: Final = 10
"""A wallet that counts energy does so in 0.01 kWh."""
_CODINGS: Final = {
    NumberCoding.BINARY: AmountCoding.BINARY,
    NumberCoding.BCD: AmountCoding.BCD,
}


def dialect_of(wallet: WalletSpec) -> PrepaidDialect:
    """Return the codings of a wallet in the words of the protocol."""
    return PrepaidDialect(_CODINGS[wallet.amount_coding], _CODINGS[wallet.count_coding])


class AddressReading:
    """Identifies a meter by the address it gives itself, and its wallet by what it counts."""

    def __init__(self, line: DLT645Line) -> None:
        self._line = line

    def identify(self) -> Identity:
        """Return who answers.

        Raises:
            RemoteProtocolError: If it gives another address, or is another kind of meter.
        """
        line = self._line
        given = line.read(ADDRESS)
        if given != str(line.address):
            reason = f"the meter at {line.address} gives its address as {given}"
            raise RemoteProtocolError(reason)
        wallet = line.profile.part.wallet
        if wallet is not None:
            check_kind(wallet, line.read_status_word())
        return Identity(line.profile.name, line.profile.model, address=str(given))


def check_kind(wallet: WalletSpec, status: StatusWord3) -> None:
    """Refuse a meter whose wallet counts something else.

    Raises:
        RemoteProtocolError: If it does.
    """
    if status.kind is not KINDS[wallet.counts]:
        reason = f"the meter is {status.kind.name.lower()}, and the profile counts {wallet.counts}"
        raise RemoteProtocolError(reason)


class DataReading:
    """Reads every identifier of the profile, one after the other."""

    def __init__(self, line: DLT645Line) -> None:
        self._line = line
        self._specs = [(spec, _find_item(line, spec)) for spec in line.profile.part.data]

    def read_registers(self) -> list[Reading]:
        """Return the readings; those that the meter refuses say so."""
        return [self._read(spec, item) for spec, item in self._specs]

    def _read(self, spec: DataSpec, item: DataItem) -> Reading:
        unit = unit_of(item)
        try:
            value = self._line.read(spec.identifier)
        except MeterRefusedError as error:
            return Reading(spec.name, unit, None, str(error))
        if value is None:
            return Reading(spec.name, unit, None, "the meter marks it as not available")
        return Reading(spec.name, unit, _show(value))


def _find_item(line: DLT645Line, spec: DataSpec) -> DataItem:
    """Return the row of an identifier.

    Raises:
        ProfileError: If the protocol's table has none for it that readings can show.
    """
    item = find_item(spec.identifier)
    if item is None or item.is_block(spec.identifier) or item.form not in _SHOWN:
        raise ProfileError(
            line.profile.name,
            f"data.{spec.name}",
            problem=f"{spec.identifier:08X} is no identifier of one known value",
            remedy="correct it, or add a row to protocols/dlt645/identifiers.py",
        )
    return item


_SHOWN: Final = frozenset(Form) - {Form.STATUS_WORD_3, Form.DEMAND}
_UNITS: Final = {str(unit): unit for unit in Unit}


def unit_of(item: DataItem) -> Unit:
    """Return the unit its readings are given in; text for what is no number."""
    if item.form in {Form.NUMBER, Form.BITS}:
        return _UNITS.get(item.unit, Unit.COUNT)
    return Unit.TEXT


def _show(value: Value) -> int | str:
    if isinstance(value, int):
        return value
    return value.isoformat() if isinstance(value, date | time) else str(value)


class WalletReading:
    """Reads the wallet by a status query, and the relay by status word 3."""

    def __init__(self, line: DLT645Line, wallet: WalletSpec) -> None:
        self._line = line
        self._wallet = wallet

    def read_wallet(self) -> WalletReport:
        """Return the wallet as it is; its MACs are looked at by whoever holds a signer."""
        word = self._line.read_status_word()
        check_kind(self._wallet, word)
        status = query_wallet(self._line, self._wallet)
        return WalletReport(
            balance_minor=status.balance_minor,
            overdraft_minor=self._find_overdraft(),
            purchase_count=status.count,
            customer_number=status.customer_number,
            account_is_open=word.remote_account_is_open or word.local_account_is_open,
            counts=self._wallet.counts,
            relay=report_relay(word),
        )

    def _find_overdraft(self) -> int | None:
        try:
            value = self._line.read(OVERDRAFTS[self._wallet.counts])
        except MeterRefusedError:
            return None
        if not isinstance(value, int):
            return None
        return value if self._wallet.counts is Counts.MONEY else value // WH_PER_MINOR


def query_wallet(line: DLT645Line, wallet: WalletSpec) -> WalletStatus:
    """Return what the secure element holds (状态查询)."""
    payload = line.ask_security(SecurityRequest(SecurityFunction.READ_STATUS))
    return WalletStatus.from_status(payload, dialect=dialect_of(wallet))
