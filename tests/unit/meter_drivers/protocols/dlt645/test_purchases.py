import pytest

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlt645.prepaid import (
    AmountCoding,
    Authentication,
    PrepaidDialect,
    SecurityFunction,
    SecurityRequest,
    SessionOpened,
    SessionValidity,
)
from meter_drivers.protocols.dlt645.purchases import (
    PURCHASES,
    OrderPurchase,
    Purchase,
    PurchaseTerms,
    WalletInitialisation,
    WalletStatus,
    decode_purchase,
)

OPERATOR = bytes.fromhex("11223344")
BINARY = PrepaidDialect()
DECIMAL = PrepaidDialect(AmountCoding.BCD, AmountCoding.BCD, error_size_bytes=1)
DIALECTS = pytest.mark.parametrize("dialect", [BINARY, DECIMAL], ids=["binary", "decimal"])
RECHARGE = Purchase(
    PurchaseTerms(SecurityFunction.RECHARGE, 5_000, 12, "000000000042"), b"MAC1", b"MAC2"
)
ORDER = OrderPurchase(
    SecurityFunction.RECHARGE,
    500_000,
    bytes.fromhex("0102030405060708"),
    bytes.fromhex("01020304"),
    "151413121110",
    "252423222120",
    bytes.fromhex("A1A2A3A4"),
)
STATUS = WalletStatus(12_345, 7, "000000000042", b"KEYS", b"BMAC", b"CMAC")


def test_recharge_by_order_is_the_published_frame() -> None:
    printed = (
        "FF020107 11223344 00005000 0102030405060708 01020304101112131415 202122232425 A1A2A3A4"
    )
    request = ORDER.to_request(OPERATOR, dialect=DECIMAL)
    assert request.to_data() == bytes.fromhex(printed)
    assert decode_purchase(request, dialect=DECIMAL) == ORDER


@DIALECTS
def test_recharge_has_30_bytes_both_ways(dialect: PrepaidDialect) -> None:
    request = RECHARGE.to_request(OPERATOR, dialect=dialect)
    assert len(request.to_data()) == 30
    assert decode_purchase(request, dialect=dialect) == RECHARGE


def test_amount_is_written_as_its_dialect_says() -> None:
    assert RECHARGE.to_request(dialect=BINARY).payload[:8].hex() == "881300000c000000"
    assert RECHARGE.to_request(dialect=DECIMAL).payload[:8].hex() == "0050000012000000"


@DIALECTS
def test_wallet_initialisation_has_24_bytes_both_ways(dialect: PrepaidDialect) -> None:
    message = WalletInitialisation(700, b"MAC1", b"MAC2")
    request = message.to_request(OPERATOR, dialect=dialect)
    assert len(request.to_data()) == 24
    assert WalletInitialisation.from_payload(request.payload, dialect=dialect) == message


@DIALECTS
def test_wallet_status_is_read_from_each_reply(dialect: PrepaidDialect) -> None:
    payload = STATUS.to_status(dialect=dialect)
    assert WalletStatus.from_status(payload, dialect=dialect) == STATUS
    ended = WalletStatus(12_345, 7, "000000000042", b"KEYS")
    payload = STATUS.to_session_end(dialect=dialect)
    assert WalletStatus.from_session_end(payload, dialect=dialect) == ended
    receipt = WalletStatus(12_345, 7, "000000000042")
    payload = STATUS.to_receipt(dialect=dialect)
    assert len(payload) + 4 == 18
    assert WalletStatus.from_receipt(payload, dialect=dialect) == receipt


def test_receipt_may_be_missing() -> None:
    assert WalletStatus.from_receipt(b"") is None


def test_authentication_and_its_reply_go_both_ways() -> None:
    authentication = Authentication(b"C" * 8, b"R" * 8, b"D" * 8)
    request = authentication.to_request(OPERATOR)
    assert len(request.to_data()) == 32
    assert Authentication.from_payload(request.payload) == authentication
    opened = SessionOpened(b"RAND", b"ELEMENT7")
    assert SessionOpened.from_payload(opened.to_payload()) == opened


@pytest.mark.parametrize("mac", [b"", b"MAC1"])
def test_session_validity_goes_both_ways(mac: bytes) -> None:
    message = SessionValidity(30, mac)
    assert message.to_request().payload[:2].hex() == "3000"
    assert SessionValidity.from_payload(message.to_request().payload) == message


def test_every_purchase_is_read_by_its_size() -> None:
    for function in PURCHASES:
        terms = PurchaseTerms(function, 1, 1, "0" * 12)
        purchase = Purchase(terms, b"MAC1", b"MAC2")
        assert decode_purchase(purchase.to_request()) == purchase


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (SecurityRequest(SecurityFunction.READ_STATUS), "078102FF is no purchase"),
        (SecurityRequest(SecurityFunction.RECHARGE, bytes(21)), "21 bytes"),
        (SecurityRequest(SecurityFunction.RECHARGE, b"\xaa" * 22), "no decimal number"),
    ],
)
def test_malformed_purchase_is_refused(request_: SecurityRequest, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        decode_purchase(request_, dialect=DECIMAL)


@pytest.mark.parametrize(
    "purchase",
    [
        Purchase(PurchaseTerms(SecurityFunction.RECHARGE, 1 << 32, 1, "0" * 12), b"MAC1", b"MAC2"),
        Purchase(PurchaseTerms(SecurityFunction.RECHARGE, 1, -1, "0" * 12), b"MAC1", b"MAC2"),
        Purchase(PurchaseTerms(SecurityFunction.RECHARGE, 1, 1, "0" * 11), b"MAC1", b"MAC2"),
        Purchase(PurchaseTerms(SecurityFunction.RECHARGE, 1, 1, "0" * 12), b"MAC", b"MAC2"),
    ],
)
def test_purchase_that_does_not_fit_is_our_fault(purchase: Purchase) -> None:
    with pytest.raises(LocalProtocolError):
        purchase.to_request()
