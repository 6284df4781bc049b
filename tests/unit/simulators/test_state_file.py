import json
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_drivers.profiles.toml_table import TOMLTable
from meter_drivers.protocols.dlt645.recharge import Wallet
from meter_drivers.protocols.modbus.credit import CreditOperation, CreditOrder, SiteKey
from simulators.meter import RelayPosition, Settings, Tamper, raise_tamper
from simulators.prepaid_meter import (
    PrepaidMeter,
    PurchaseBook,
    PurchaseRecord,
    enter_token,
    pass_time,
    steer_relay,
    take_credit_order,
    with_electric,
)
from simulators.state_file import (
    StateFileError,
    StateFolder,
    StateUnreadableError,
    from_document,
    to_document,
)
from vending.sts import (
    TI,
    DecoderKey,
    EncryptionAlgorithm,
    KeyChange,
    KeyType,
    encode_key_change_set,
)

DRN_FILE = "01234567897.json"


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    folder = StateFolder(tmp_path / "state")
    folder.prepare()
    return folder


@pytest.fixture
def lived(
    meter: PrepaidMeter, credit: Callable[..., str], decoder_key: DecoderKey, site_key: SiteKey
) -> PrepaidMeter:
    """A meter with something in every field that is stored."""
    change = KeyChange(
        key=DecoderKey(bytes(8), EncryptionAlgorithm.STA),
        kt=KeyType.DUTK,
        krn=2,
        ken=9,
        ti=TI("02"),
        sgc=None,
        rollover=False,
    )
    first, _ = encode_key_change_set(change, decoder_key)
    for digits in (credit(5), credit(6), first, "12345678901234567890"):
        meter, _ = enter_token(meter, digits)
    order = CreditOrder(1, CreditOperation.ADD_CREDIT, amount=5)
    meter = take_credit_order(meter, order.sign(site_key, drn=meter.drn.digits))
    wallet = Wallet(
        count=2,
        customer_number="000000000007",
        is_open=True,
        mac_failures=1,
        mac_failures_on=date(2026, 1, 2),
        last_order=b"12345678",
    )
    records = (PurchaseRecord(at_ms=5, count=2, amount_minor=7, before_minor=1, after_minor=8),)
    meter = replace(meter, purchases=PurchaseBook(wallet, 100, records, 9))
    electric = replace(raise_tamper(meter.electric, Tamper.MAGNET), settings=Settings(1, 2, 3, 4))
    meter = pass_time(with_electric(meter, electric), elapsed_ms=999_983, load_w=777)
    return steer_relay(meter, RelayPosition.OPEN)


def test_a_meter_comes_back_as_it_was_saved(
    folder: StateFolder, meter: PrepaidMeter, lived: PrepaidMeter
) -> None:
    folder.save(lived)
    assert folder.restore(meter) == lived


@given(st.integers(0, 10**7), st.integers(0, 20_000))
def test_any_moment_survives_the_document(
    meter: PrepaidMeter, elapsed_ms: int, load_w: int
) -> None:
    later = pass_time(meter, elapsed_ms=elapsed_ms, load_w=load_w)
    document = json.loads(json.dumps(to_document(later)))
    assert from_document(TOMLTable("x.json", "", document), meter) == later


def test_a_meter_never_saved_is_as_given(folder: StateFolder, meter: PrepaidMeter) -> None:
    assert folder.restore(meter) == meter


def test_only_the_owner_reads_the_keys(
    folder: StateFolder, meter: PrepaidMeter, tmp_path: Path
) -> None:
    folder.save(meter)
    mode = (tmp_path / "state" / DRN_FILE).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_saving_replaces_the_file_whole(
    folder: StateFolder, meter: PrepaidMeter, tmp_path: Path
) -> None:
    folder.save(meter)
    folder.save(meter)
    assert [path.name for path in (tmp_path / "state").iterdir()] == [DRN_FILE]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 2),
        (("unknown",), 1),
        (("electric", "actual"), 2),
        (("electric", "rest_wms"), 3_600_000),
        (("electric", "events"), [{"sequence": 1}]),
        (("acceptor", "decoder_key"), "xyz"),
        (("acceptor", "decoder_key"), "00"),
        (("acceptor", "krn"), 0),
        (("acceptor", "sections"), ["12345678901234567890"]),
        (("entries", "result"), "Perhaps"),
        (("orders", "done"), "1234"),
    ],
)
def test_a_damaged_file_is_refused_with_what_to_do(
    folder: StateFolder,
    lived: PrepaidMeter,
    tmp_path: Path,
    path: tuple[str, ...],
    value: object,
) -> None:
    document = json.loads(json.dumps(to_document(lived)))
    table = document
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    (tmp_path / "state" / DRN_FILE).write_text(json.dumps(document))
    with pytest.raises(StateUnreadableError, match="move the file away"):
        folder.restore(lived)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_what_is_no_document_is_refused(
    folder: StateFolder, meter: PrepaidMeter, tmp_path: Path, text: str
) -> None:
    (tmp_path / "state" / DRN_FILE).write_text(text)
    with pytest.raises(StateUnreadableError):
        folder.restore(meter)


def test_a_folder_in_place_of_the_file_is_refused(
    folder: StateFolder, meter: PrepaidMeter, tmp_path: Path
) -> None:
    (tmp_path / "state" / DRN_FILE).mkdir()
    with pytest.raises(StateUnreadableError, match="Is a directory"):
        folder.restore(meter)
    with pytest.raises(StateFileError, match="cannot write"):
        folder.save(meter)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StateFileError, match="choose another"):
        StateFolder(tmp_path / "taken").prepare()
