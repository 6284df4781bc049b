from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from meter_drivers.protocols.dlt645.frames import Address
from meter_drivers.protocols.dlt645.prepaid import STATE_GRID, SecurityFunction
from meter_drivers.protocols.dlt645.purchases import OrderPurchase, PurchaseTerms, WalletStatus
from meter_drivers.protocols.dlt645.remote_control import ControlCommand, RemoteControl
from meter_drivers.protocols.dlt645.requests import Credentials
from meter_drivers.protocols.dlt645.signing import SecureElement, SecuritySigner, Session
from simulators.dlt645_security import (
    TOY_ROOT_KEY,
    ToyElement,
    ToySigner,
    _compute_mac,
)

METER = Address.parse("161")
OTHER = Address.parse("162")
TERMS = PurchaseTerms(SecurityFunction.RECHARGE, 5_000, 1, "000000000042")
ORDER = OrderPurchase(
    SecurityFunction.RECHARGE, 1, bytes(8), bytes(4), "0" * 12, "0" * 12, bytes(4)
)
CONTROL = RemoteControl(
    Credentials(0x98, bytes(3)),
    ControlCommand.TRIP,
    datetime(2026, 11, 25, 12),  # noqa: DTZ001
)


@pytest.fixture
def signer() -> SecuritySigner:
    return ToySigner(lambda size: b"\x07" * size)


@pytest.fixture
def element() -> SecureElement:
    return ToyElement(METER)


@pytest.fixture
def session(signer: SecuritySigner, element: SecureElement) -> Session:
    opened = element.authenticate(signer.open_session(METER), meter_random=b"RAND")
    assert opened is not None
    return opened


def test_key_says_that_it_is_public(signer: SecuritySigner) -> None:
    assert signer.is_toy
    assert b"PUBLIC TOY KEY" in TOY_ROOT_KEY


def test_authentication_for_another_meter_opens_nothing(
    signer: SecuritySigner, element: SecureElement
) -> None:
    assert element.authenticate(signer.open_session(OTHER), meter_random=b"RAND") is None


def test_what_is_signed_is_genuine(
    signer: SecuritySigner, element: SecureElement, session: Session
) -> None:
    purchase = signer.mac_recharge(session, TERMS, dialect=STATE_GRID)
    assert element.is_purchase_genuine(session, purchase, dialect=STATE_GRID)
    order = signer.mac_order(session, ORDER, dialect=STATE_GRID)
    assert element.is_purchase_genuine(session, order, dialect=STATE_GRID)
    wallet = signer.mac_wallet(session, 700, dialect=STATE_GRID)
    assert element.is_wallet_genuine(session, wallet, dialect=STATE_GRID)
    assert element.is_validity_genuine(session, 30, signer.mac_validity(session, 30))
    assert element.unseal_control(session, signer.mac_control(session, CONTROL)) == CONTROL
    status = element.sign_status(session, WalletStatus(1, 2, "0" * 12), dialect=STATE_GRID)
    assert signer.is_genuine(session, status, dialect=STATE_GRID)


def test_what_is_altered_is_not_genuine(
    signer: SecuritySigner, element: SecureElement, session: Session
) -> None:
    purchase = signer.mac_recharge(session, TERMS, dialect=STATE_GRID)
    for terms in (
        replace(TERMS, amount_minor=5_001),
        replace(TERMS, count=2),
        replace(TERMS, customer_number="000000000043"),
        replace(TERMS, function=SecurityFunction.REFUND),
    ):
        altered = replace(purchase, terms=terms)
        assert not element.is_purchase_genuine(session, altered, dialect=STATE_GRID)
    order = replace(signer.mac_order(session, ORDER, dialect=STATE_GRID), amount_minor=2)
    assert not element.is_purchase_genuine(session, order, dialect=STATE_GRID)
    wallet = replace(signer.mac_wallet(session, 700, dialect=STATE_GRID), amount_minor=701)
    assert not element.is_wallet_genuine(session, wallet, dialect=STATE_GRID)
    assert not element.is_validity_genuine(session, 31, signer.mac_validity(session, 30))
    status = element.sign_status(session, WalletStatus(1, 2, "0" * 12), dialect=STATE_GRID)
    altered_status = replace(status, balance_minor=2)
    assert not signer.is_genuine(session, altered_status, dialect=STATE_GRID)


def test_status_without_session_proves_nothing(
    signer: SecuritySigner, element: SecureElement, session: Session
) -> None:
    status = element.sign_status(None, WalletStatus(1, 2, "0" * 12), dialect=STATE_GRID)
    assert not signer.is_genuine(session, status, dialect=STATE_GRID)


@pytest.mark.parametrize(
    "alter",
    [
        lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]),
        lambda sealed: bytes([sealed[0] ^ 1]) + sealed[1:],
        lambda sealed: sealed[1:],
        lambda _: b"",
    ],
)
def test_sealed_control_that_is_altered_is_not_unsealed(
    signer: SecuritySigner,
    element: SecureElement,
    session: Session,
    alter: Callable[[bytes], bytes],
) -> None:
    sealed = signer.mac_control(session, CONTROL)
    altered = replace(sealed, sealed=alter(sealed.sealed))
    assert element.unseal_control(session, altered) is None


def test_macs_of_another_session_are_not_genuine(
    signer: SecuritySigner, element: SecureElement, session: Session
) -> None:
    purchase = signer.mac_recharge(session, TERMS, dialect=STATE_GRID)
    later = element.authenticate(session.authentication, meter_random=b"LATE")
    assert later is not None
    assert not element.is_purchase_genuine(later, purchase, dialect=STATE_GRID)


def test_sealed_nonsense_is_not_unsealed(
    signer: SecuritySigner, element: SecureElement, session: Session
) -> None:
    sealed = signer.mac_control(session, CONTROL)
    zeros = bytes(a ^ b for a, b in zip(sealed.sealed[:8], CONTROL.to_block(), strict=True))
    mac = _compute_mac(session, b"control", zeros)
    assert element.unseal_control(session, replace(sealed, sealed=zeros + mac)) is None
