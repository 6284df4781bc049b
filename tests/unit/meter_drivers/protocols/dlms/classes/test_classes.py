import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.axdr import (
    NULL,
    Data,
    DataType,
    array,
    bit_string,
    boolean,
    double_long,
    double_long_unsigned,
    enum,
    integer,
    long,
    octet_string,
    structure,
    unsigned,
)
from meter_drivers.protocols.dlms.classes import (
    account,
    association_ln,
    charge,
    clock,
    credit,
    profile_generic,
    registers,
    switching,
    token_gateway,
)
from meter_drivers.protocols.dlms.classes.clock import ClockStatus, DateTime
from meter_drivers.protocols.dlms.names import Attribute, LogicalName, Method, Selection

ENERGY = LogicalName.parse("1.0.1.8.0.255")
PROFILE = LogicalName.parse("1.0.99.1.0.255")
BEIJING = dt.timezone(dt.timedelta(hours=8))
NOON = dt.datetime(2026, 11, 25, 12, 0, 5, 70_000, BEIJING)


def at(minute: int) -> Data:
    return DateTime.of_instant(NOON + dt.timedelta(minutes=minute)).to_data()


# --- class 8 ---


def test_date_time_is_the_octets_of_the_standard() -> None:
    octets = bytes.fromhex("07EA0B19030C000507FE2000")
    assert DateTime.of_instant(NOON).to_octets() == octets
    assert DateTime.from_octets(octets).to_instant() == NOON
    assert DateTime.from_octets(octets).deviation_min == -480


def test_date_time_of_nothing_specified_comes_back() -> None:
    octets = bytes.fromhex("FFFFFFFFFFFFFFFFFF8000FF")
    assert DateTime.from_octets(octets) == DateTime()
    assert DateTime().to_octets() == octets
    with pytest.raises(RemoteProtocolError, match="no instant"):
        DateTime().to_instant()


def test_date_time_keeps_special_parts_and_daylight_saving() -> None:
    last_sunday = DateTime(
        month=0xFE, day=0xFE, weekday=7, hour=2, status=ClockStatus.DAYLIGHT_SAVING
    )
    assert DateTime.from_octets(last_sunday.to_octets()) == last_sunday


@given(
    st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)),  # noqa: DTZ001 # the zone comes next
    st.integers(-720, 720),
)
def test_any_instant_comes_back(moment: dt.datetime, offset_min: int) -> None:
    zone = dt.timezone(dt.timedelta(minutes=offset_min))
    instant = moment.replace(tzinfo=zone, microsecond=moment.microsecond // 10_000 * 10_000)
    assert DateTime.from_data(DateTime.of_instant(instant).to_data()).to_instant() == instant


@given(st.binary(min_size=12, max_size=12))
def test_any_12_octets_come_back_or_are_refused(octets: bytes) -> None:
    try:
        found = DateTime.from_octets(octets)
    except RemoteProtocolError:
        return
    assert found.to_octets() == octets


@pytest.mark.parametrize(
    "octets",
    ["07EA0B19030C0005", "07EA0D19030C000507FE2000", "07EA0B20030C000507FE2000",
     "07EA0B19080C000507FE2000", "07EA0B190318000507FE2000", "07EA0B19030C3C0507FE2000",
     "07EA0B19030C003C07FE2000", "07EA0B19030C000564FE2000", "07EA0B19030C0005077FFF00"],
)  # fmt: skip
def test_date_time_out_of_range_is_refused(octets: str) -> None:
    with pytest.raises(RemoteProtocolError):
        DateTime.from_octets(bytes.fromhex(octets))


def test_date_that_does_not_exist_is_no_instant() -> None:
    with pytest.raises(RemoteProtocolError, match="does not exist"):
        replace(DateTime.of_instant(NOON), month=2, day=30).to_instant()


def test_date_time_refuses_what_it_cannot_say() -> None:
    with pytest.raises(LocalProtocolError, match="month 13"):
        DateTime(month=13).to_octets()
    with pytest.raises(LocalProtocolError, match="year 65535"):
        DateTime(year=65535).to_octets()
    with pytest.raises(LocalProtocolError, match="without a zone"):
        DateTime.of_instant(NOON.replace(tzinfo=None))
    with pytest.raises(RemoteProtocolError, match="came as UNSIGNED"):
        DateTime.from_data(unsigned(1))
    assert clock.TIME.name == clock.CLOCK


# --- classes 1 and 3 ---


def test_register_is_an_integer_and_a_power_of_ten() -> None:
    scaler_unit = registers.ScalerUnit.from_data(structure(integer(1), enum(30)))
    value = registers.ScaledValue.from_data(double_long_unsigned(12345), scaler_unit)
    assert value == registers.ScaledValue(12345, 1, registers.Unit.WATT_HOUR)
    assert value.to_scaler(0) == 123_450
    assert value.to_scaler(-3) == 123_450_000
    assert registers.ScaledValue(5000, 0, 30).to_scaler(3) == 5
    assert registers.ScaledValue(-5000, 0, 30).to_scaler(3) == -5
    assert scaler_unit.to_data() == structure(integer(1), enum(30))


def test_register_is_not_rounded_nor_scaled_to_the_sky() -> None:
    with pytest.raises(RemoteProtocolError, match="no whole number of 1E3"):
        registers.ScaledValue(5001, 0, 30).to_scaler(3)
    with pytest.raises(RemoteProtocolError, match="absurd"):
        registers.ScalerUnit.from_data(structure(integer(127), enum(30)))


def test_references_of_data_and_registers() -> None:
    assert registers.data_value(ENERGY) == Attribute(1, ENERGY, 2)
    assert registers.register_value(ENERGY) == Attribute(3, ENERGY, 2)
    assert str(registers.INVOCATION_COUNTER.name) == "0.0.43.1.0.255"
    assert registers.register_scaler_unit(ENERGY) == Attribute(3, ENERGY, 3)
    assert registers.register_reset(ENERGY) == Method(3, ENERGY, 1)


# --- class 7 ---

COLUMNS = (
    profile_generic.CLOCK_COLUMN,
    profile_generic.CaptureObject(registers.register_value(ENERGY)),
)
ROWS = tuple((at(15 * number), double_long_unsigned(100 + number)) for number in range(5))


def test_columns_and_buffer_come_back() -> None:
    assert profile_generic.decode_columns(profile_generic.encode_columns(COLUMNS)) == COLUMNS
    buffer = Data.from_bytes(profile_generic.encode_buffer(ROWS).to_bytes())
    assert profile_generic.decode_buffer(buffer, column_count=2) == ROWS


def test_null_in_a_buffer_stands_for_the_value_above() -> None:
    buffer = array([structure(at(0), long(1)), structure(NULL, long(2)), structure(NULL, NULL)])
    rows = profile_generic.decode_buffer(buffer, column_count=2)
    assert rows == ((at(0), long(1)), (at(0), long(2)), (at(0), long(2)))
    assert profile_generic.decode_buffer(array([structure(NULL)]), column_count=1) == ((NULL,),)


def test_range_comes_back_and_selects() -> None:
    chosen = profile_generic.RangeSelection(profile_generic.CLOCK_COLUMN, at(15), at(45))
    again = profile_generic.RangeSelection.from_selection(chosen.to_selection())
    assert again == chosen
    assert profile_generic.select_by_clock(ROWS, again, column=0) == ROWS[1:4]
    everything = replace(chosen, first=NULL, last=NULL, columns=COLUMNS[1:])
    assert profile_generic.RangeSelection.from_selection(everything.to_selection()) == everything
    assert profile_generic.select_by_clock(ROWS, everything, column=0) == ROWS


def test_entries_come_back_and_select() -> None:
    chosen = profile_generic.EntrySelection(2, 3, 2, 2)
    assert profile_generic.EntrySelection.from_selection(chosen.to_selection()) == chosen
    assert chosen.select(ROWS) == tuple((row[1],) for row in ROWS[1:3])
    assert profile_generic.EntrySelection(1).select(ROWS) == ROWS


@pytest.mark.parametrize(
    "selection",
    [
        Selection(9, NULL),
        profile_generic.EntrySelection(0, 1).to_selection(),
        profile_generic.EntrySelection(1, 1, 0, 1).to_selection(),
    ],
)
def test_other_selections_are_refused(selection: Selection) -> None:
    with pytest.raises(RemoteProtocolError):
        profile_generic.EntrySelection.from_selection(selection)
    with pytest.raises(RemoteProtocolError, match="no range"):
        profile_generic.RangeSelection.from_selection(selection)


def test_name_of_another_size_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="6 octets"):
        profile_generic.take_name(octet_string(b"12345"))


def test_references_of_profiles() -> None:
    named = [
        profile_generic.buffer(PROFILE),
        profile_generic.capture_objects(PROFILE),
        profile_generic.capture_period(PROFILE),
        profile_generic.entries_in_use(PROFILE),
    ]
    assert [each.index for each in named] == [2, 3, 4, 7]


# --- classes 70 and 71 ---


def test_switch_is_read_both_ways() -> None:
    assert switching.decode_output_state(switching.encode_output_state(True))  # noqa: FBT003 # the value
    for state in switching.ControlState:
        assert switching.decode_control_state(switching.encode_code(state)) is state
    for mode in switching.ControlMode:
        assert switching.decode_control_mode(switching.encode_code(mode)) is mode
    with pytest.raises(RemoteProtocolError, match="3 is no ControlState"):
        switching.decode_control_state(enum(3))


def test_every_control_mode_but_the_newest_has_its_rules() -> None:
    modes = set(switching.ControlMode) - {switching.ControlMode.MODE_7}
    assert set(switching.CONTROL_MODES) == modes
    assert not switching.CONTROL_MODES[switching.ControlMode.NONE].remote_disconnect


def test_limiter_is_read_both_ways() -> None:
    watched = switching.MonitoredValue(registers.register_value(ENERGY))
    assert switching.MonitoredValue.from_data(watched.to_data()) == watched
    assert switching.decode_threshold(switching.encode_threshold(5000)) == 5000
    assert switching.decode_duration(switching.encode_duration(30)) == 30


# --- classes 111 to 113 ---


def test_account_is_read_both_ways() -> None:
    prepaid = account.ModeAndStatus(account.AccountMode.PREPAYMENT, account.AccountStatus.ACTIVE)
    assert account.ModeAndStatus.from_data(prepaid.to_data()) == prepaid
    currency = account.Currency("kWh", -2, account.CurrencyUnit.CONSUMPTION)
    assert account.Currency.from_data(Data.from_bytes(currency.to_data().to_bytes())) == currency
    names = (credit.CREDIT, charge.CHARGE)
    assert account.decode_references(account.encode_references(names)) == names
    assert account.decode_amount(account.encode_amount(-500)) == -500
    with pytest.raises(RemoteProtocolError, match="came as LONG"):
        account.decode_amount(long(5))


def test_credit_status_has_bit_0_first() -> None:
    status = account.CreditStatusBit.IN_CREDIT | account.CreditStatusBit.LOW_CREDIT
    assert account.encode_credit_status(status) == bit_string("11000000")
    assert account.decode_credit_status(bit_string("11000000")) == status
    for bit in account.CreditStatusBit:
        assert account.decode_credit_status(account.encode_credit_status(bit)) is bit
    with pytest.raises(RemoteProtocolError, match="7 bits"):
        account.decode_credit_status(bit_string("1100000"))


def test_credit_is_read_both_ways_and_adding_is_not_repeatable() -> None:
    for kind in credit.CreditType:
        assert credit.decode_credit_type(credit.encode_credit_code(kind)) is kind
    for state in credit.CreditState:
        assert credit.decode_credit_state(credit.encode_credit_code(state)) is state
    assert credit.CreditMethod.UPDATE_AMOUNT not in credit.REPEATABLE
    amount = credit.credit_attribute(credit.CreditAttribute.CURRENT_CREDIT_AMOUNT)
    assert amount == Attribute(112, LogicalName.parse("0.0.19.10.0.255"), 2)
    assert credit.credit_method(credit.CreditMethod.SET_AMOUNT_TO_VALUE).index == 2


def test_charge_is_read_both_ways() -> None:
    for kind in charge.ChargeType:
        assert charge.decode_charge_type(charge.encode_charge_type(kind)) is kind
    table = charge.UnitCharge(
        3, -2, registers.register_value(ENERGY), ((b"\x01", 150), (b"\x02", -5))
    )
    assert charge.UnitCharge.from_data(Data.from_bytes(table.to_data().to_bytes())) == table
    assert charge.charge_attribute(charge.ChargeAttribute.PROPORTION).index == 13
    assert charge.charge_method(charge.ChargeMethod.COLLECT).index == 3


# --- class 115 ---


def test_token_goes_both_ways_and_stays_out_of_messages() -> None:
    digits = "12345678901234567890"
    assert token_gateway.decode_token(token_gateway.encode_token(digits)) == digits
    for wrong in ("1234567890123456789", "1234567890123456789x", "", "\u0661" * 20):
        with pytest.raises(LocalProtocolError) as refused:
            token_gateway.encode_token(wrong)
        assert wrong == "" or wrong not in str(refused.value)
    with pytest.raises(RemoteProtocolError) as refused_too:
        token_gateway.decode_token(octet_string(b"123456789012345678901"))
    assert "12345" not in str(refused_too.value)


def test_every_token_status_is_read_both_ways_and_has_its_place() -> None:
    for code in token_gateway.TokenStatusCode:
        status = token_gateway.TokenStatus(code, "101")
        assert token_gateway.TokenStatus.from_data(status.to_data()) == status
    executed = token_gateway.TokenStatusCode.TOKEN_EXECUTED
    places = [token_gateway.FAILED, token_gateway.UNDECIDED, frozenset({executed})]
    assert sorted(code for place in places for code in place) == list(range(9))
    with pytest.raises(RemoteProtocolError, match="9 is no TokenStatusCode"):
        token_gateway.TokenStatus.from_data(structure(enum(9), bit_string("")))
    assert token_gateway.decode_delivery_method(enum(2)) is token_gateway.DeliveryMethod.MANUAL


# --- class 15 ---


def test_object_list_is_read_both_ways() -> None:
    entry = association_ln.ObjectEntry(
        3,
        0,
        ENERGY,
        ((1, association_ln.AttributeAccess.READ_ONLY),),
        ((1, association_ln.MethodAccess.ACCESS),),
    )
    others = (entry, replace(entry, class_id=7))
    listed = association_ln.encode_object_list(others)
    assert association_ln.decode_object_list(Data.from_bytes(listed.to_bytes())) == others
    with pytest.raises(RemoteProtocolError, match="twice"):
        association_ln.decode_object_list(association_ln.encode_object_list([entry, entry]))


def test_object_list_of_version_0_has_booleans_for_methods() -> None:
    rights = structure(array([]), array([structure(integer(1), boolean(True))]))  # noqa: FBT003 # the value
    listed = structure(
        Data(DataType.LONG_UNSIGNED, 70), unsigned(0), octet_string(ENERGY.octets), rights
    )
    entry = association_ln.ObjectEntry.from_data(listed)
    assert entry.methods == ((1, association_ln.MethodAccess.ACCESS),)


def test_association_status_is_read_both_ways() -> None:
    for status in association_ln.AssociationStatus:
        assert association_ln.decode_status(association_ln.encode_status(status)) is status


def test_amounts_are_32_bits_signed() -> None:
    assert account.encode_amount(-500) == double_long(-500)
    with pytest.raises(LocalProtocolError):
        account.encode_amount(1 << 31).to_bytes()


@pytest.mark.parametrize("text", ["", "1.0.1.8.0", "1.0.1.8.0.256", "1.0.1.8.0.x", "1.0.1.8.0.-1"])
def test_text_that_is_no_logical_name_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        LogicalName.parse(text)


def test_logical_name_is_written_with_points() -> None:
    assert str(ENERGY) == "1.0.1.8.0.255"
    with pytest.raises(LocalProtocolError, match="6 bytes"):
        LogicalName(b"12345")
    with pytest.raises(LocalProtocolError, match="cannot be written"):
        Attribute(1 << 16, ENERGY, 1)
