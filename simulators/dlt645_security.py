"""Both ends of DL/T 645 function 03 under a PUBLIC TOY KEY: for simulated meters, no real one.

Real meters check with a secure element (ESAM) under keys that only a utility has, by ciphers of
the SM1 and SM4 class. Here the root key is printed below and everything is HMAC-SHA-256 (FIPS
198-1), cut to the sizes of the messages: it has their shape and none of their secrecy.

    key of a meter   HMAC(root key, diversifier)
    MAC              HMAC(key of the meter, label | host random | meter random | content), 4 bytes
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlt645.frames import Address
from meter_drivers.protocols.dlt645.prepaid import (
    MAC_SIZE_BYTES,
    Authentication,
    PrepaidDialect,
    SessionOpened,
)
from meter_drivers.protocols.dlt645.purchases import (
    OrderPurchase,
    Purchase,
    PurchaseTerms,
    WalletInitialisation,
    WalletStatus,
)
from meter_drivers.protocols.dlt645.remote_control import (
    CONTROL_SIZE_BYTES,
    RemoteControl,
    SealedControl,
)
from meter_drivers.protocols.dlt645.requests import PASSWORD_SIZE_BYTES, Credentials
from meter_drivers.protocols.dlt645.signing import Session

TOY_ROOT_KEY: Final = b"PUBLIC TOY KEY, NOT FOR METERS!!"


def _compute(diversifier: bytes, *parts: bytes, size_bytes: int = MAC_SIZE_BYTES) -> bytes:
    key = hmac.digest(TOY_ROOT_KEY, diversifier, hashlib.sha256)
    content = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
    return hmac.digest(key, content, hashlib.sha256)[:size_bytes]


def _diversify(meter: Address) -> bytes:
    return bytes(2) + meter.octets


def _compute_mac(session: Session, label: bytes, content: bytes) -> bytes:
    randoms = session.authentication.host_random + session.opened.meter_random
    return _compute(_diversify(session.meter), label, randoms, content)


def _encipher(meter: Address, host_random: bytes) -> bytes:
    return _compute(_diversify(meter), b"identity", host_random, size_bytes=8)


def _mask(session: Session, block: bytes) -> bytes:
    """Return a block of remote control ciphered, or deciphered: the two are the same."""
    randoms = session.authentication.host_random + session.opened.meter_random
    stream = _compute(_diversify(session.meter), b"mask", randoms, size_bytes=len(block))
    return bytes(a ^ b for a, b in zip(block, stream, strict=True))


def _sign(session: Session, terms: PurchaseTerms, dialect: PrepaidDialect) -> Purchase:
    money, customer = terms.to_bytes(dialect)
    label = terms.function.to_bytes(4, "big")
    mac_1, mac_2 = (_compute_mac(session, label, part) for part in (money, customer))
    return Purchase(terms, mac_1, mac_2)


def _sign_order(session: Session, order: OrderPurchase, dialect: PrepaidDialect) -> OrderPurchase:
    payload = order.to_request(dialect=dialect).payload
    label = order.function.to_bytes(4, "big")
    mac_1, mac_2 = (_compute_mac(session, label, part) for part in (payload[:12], payload[16:28]))
    return replace(order, mac_1=mac_1, mac_2=mac_2)


def _sign_wallet(
    session: Session, message: WalletInitialisation, dialect: PrepaidDialect
) -> WalletInitialisation:
    payload = message.to_request(dialect=dialect).payload
    parts = (payload[:4], payload[8:12])
    mac_1, mac_2 = (_compute_mac(session, b"wallet", part) for part in parts)
    return replace(message, mac_1=mac_1, mac_2=mac_2)


def _sign_validity(session: Session, minutes: int) -> bytes:
    return _compute_mac(session, b"validity", minutes.to_bytes(2, "big"))


def _sign_status(
    session: Session | None, status: WalletStatus, dialect: PrepaidDialect
) -> WalletStatus:
    if session is None:
        return status
    payload = status.to_status(dialect=dialect)
    parts = (payload[:4], payload[8:12])
    balance_mac, count_mac = (_compute_mac(session, b"status", part) for part in parts)
    return replace(status, balance_mac=balance_mac, count_mac=count_mac)


@dataclass(frozen=True, slots=True)
class ToySigner:
    """The utility's side under the public toy key; implements `SecuritySigner`."""

    make_random: Callable[[int], bytes]
    """Gives so many random bytes."""

    @property
    def is_toy(self) -> bool:
        """Return that its keys are public."""
        return True

    def open_session(self, meter: Address) -> Authentication:
        """Return a fresh authentication for one meter."""
        host_random = self.make_random(8)
        return Authentication(_encipher(meter, host_random), host_random, _diversify(meter))

    def mac_validity(self, session: Session, minutes: int) -> bytes:
        """Return the MAC of a session validity."""
        return _sign_validity(session, minutes)

    def mac_recharge(
        self, session: Session, terms: PurchaseTerms, *, dialect: PrepaidDialect
    ) -> Purchase:
        """Return a recharge, opening or refund with its two MACs."""
        return _sign(session, terms, dialect)

    def mac_order(
        self, session: Session, order: OrderPurchase, *, dialect: PrepaidDialect
    ) -> OrderPurchase:
        """Return a purchase by order with its MACs."""
        return _sign_order(session, order, dialect)

    def mac_wallet(
        self, session: Session, amount_minor: int, *, dialect: PrepaidDialect
    ) -> WalletInitialisation:
        """Return an initialisation of the wallet with its two MACs."""
        unsigned = bytes(MAC_SIZE_BYTES)
        message = WalletInitialisation(amount_minor, unsigned, unsigned)
        return _sign_wallet(session, message, dialect)

    def mac_control(self, session: Session, control: RemoteControl) -> SealedControl:
        """Return a remote control ciphered and with its MAC."""
        cipher = _mask(session, control.to_block())
        sealed = cipher + _compute_mac(session, b"control", cipher)
        return SealedControl(sealed, control.credentials.operator)

    def is_genuine(
        self, session: Session, status: WalletStatus, *, dialect: PrepaidDialect
    ) -> bool:
        """Return whether the MACs of a status are right."""
        return status == _sign_status(session, status, dialect)


@dataclass(frozen=True, slots=True)
class ToyElement:
    """The secure element of one simulated meter; implements `SecureElement`."""

    meter: Address

    @property
    def number(self) -> bytes:
        """Return its number, eight bytes."""
        return b"TY" + self.meter.octets

    def authenticate(
        self, authentication: Authentication, *, meter_random: bytes
    ) -> Session | None:
        """Return the session that an authentication opens; `None` if it is not from the key."""
        expected = _encipher(self.meter, authentication.host_random)
        if not hmac.compare_digest(expected, authentication.cipher):
            return None
        return Session(self.meter, authentication, SessionOpened(meter_random, self.number))

    def is_validity_genuine(self, session: Session, minutes: int, mac: bytes) -> bool:
        """Return whether the MAC of a session validity is right."""
        return hmac.compare_digest(_sign_validity(session, minutes), mac)

    def is_purchase_genuine(
        self, session: Session, purchase: Purchase | OrderPurchase, *, dialect: PrepaidDialect
    ) -> bool:
        """Return whether the MACs of a purchase are right."""
        if isinstance(purchase, OrderPurchase):
            return purchase == _sign_order(session, purchase, dialect)
        return purchase == _sign(session, purchase.terms, dialect)

    def is_wallet_genuine(
        self, session: Session, message: WalletInitialisation, *, dialect: PrepaidDialect
    ) -> bool:
        """Return whether the MACs of an initialisation are right."""
        return message == _sign_wallet(session, message, dialect)

    def unseal_control(self, session: Session, sealed: SealedControl) -> RemoteControl | None:
        """Return the command that was sealed; `None` if its MAC is wrong."""
        cipher, mac = sealed.sealed[:-MAC_SIZE_BYTES], sealed.sealed[-MAC_SIZE_BYTES:]
        is_whole = len(cipher) == CONTROL_SIZE_BYTES
        if not is_whole or mac != _compute_mac(session, b"control", cipher):
            return None
        credentials = Credentials(sealed.level, bytes(PASSWORD_SIZE_BYTES), sealed.operator)
        try:
            return RemoteControl.from_block(credentials, _mask(session, cipher))
        except RemoteProtocolError:
            return None

    def sign_status(
        self, session: Session | None, status: WalletStatus, *, dialect: PrepaidDialect
    ) -> WalletStatus:
        """Return the status with its MACs; without a session they stay zero."""
        return _sign_status(session, status, dialect)
