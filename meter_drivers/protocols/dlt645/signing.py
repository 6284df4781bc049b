"""The port to whoever holds the keys of function 03.

MACs and ciphers come from the utility's key system and are checked by the meter's secure element
(ESAM, ciphers of the SM1 and SM4 class). Nothing here can make one; a driver takes a
`SecuritySigner`, and a simulated meter a `SecureElement`. What each covers is given as the bytes
that travel, so that a signer needs no knowledge of frames.
"""

from dataclasses import dataclass
from typing import Protocol

from meter_drivers.protocols.dlt645.frames import Address
from meter_drivers.protocols.dlt645.prepaid import (
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
from meter_drivers.protocols.dlt645.remote_control import RemoteControl, SealedControl


@dataclass(frozen=True, slots=True)
class Session:
    """An identity session as both ends know it: what its MACs are made with."""

    meter: Address
    authentication: Authentication
    opened: SessionOpened


class SecuritySigner(Protocol):
    """The utility's side: it makes what a meter will believe."""

    @property
    def is_toy(self) -> bool:
        """Return whether its keys are public: good for simulated meters, and for nothing else."""

    def open_session(self, meter: Address) -> Authentication:
        """Return a fresh authentication for one meter; `Session` joins it to the reply."""

    def mac_validity(self, session: Session, minutes: int) -> bytes:
        """Return the MAC of a session validity."""

    def mac_recharge(
        self, session: Session, terms: PurchaseTerms, *, dialect: PrepaidDialect
    ) -> Purchase:
        """Return a recharge, opening or refund with its two MACs."""

    def mac_order(
        self, session: Session, order: OrderPurchase, *, dialect: PrepaidDialect
    ) -> OrderPurchase:
        """Return a purchase by order with its MACs in the place of those given."""

    def mac_wallet(
        self, session: Session, amount_minor: int, *, dialect: PrepaidDialect
    ) -> WalletInitialisation:
        """Return an initialisation of the wallet with its two MACs."""

    def mac_control(self, session: Session, control: RemoteControl) -> SealedControl:
        """Return a remote control ciphered and with its MAC, for level 98."""

    def is_genuine(
        self, session: Session, status: WalletStatus, *, dialect: PrepaidDialect
    ) -> bool:
        """Return whether the meter's element made the MACs of a status."""


class SecureElement(Protocol):
    """The meter's side: it checks, and makes what the utility will believe."""

    def authenticate(
        self, authentication: Authentication, *, meter_random: bytes
    ) -> Session | None:
        """Return the session that an authentication opens; `None` if it is not from the keys."""

    def is_validity_genuine(self, session: Session, minutes: int, mac: bytes) -> bool:
        """Return whether the MAC of a session validity is right."""

    def is_purchase_genuine(
        self, session: Session, purchase: Purchase | OrderPurchase, *, dialect: PrepaidDialect
    ) -> bool:
        """Return whether the MACs of a purchase are right."""

    def is_wallet_genuine(
        self, session: Session, message: WalletInitialisation, *, dialect: PrepaidDialect
    ) -> bool:
        """Return whether the MACs of an initialisation are right."""

    def unseal_control(self, session: Session, sealed: SealedControl) -> RemoteControl | None:
        """Return the command that was sealed; `None` if its MAC is wrong."""

    def sign_status(
        self, session: Session | None, status: WalletStatus, *, dialect: PrepaidDialect
    ) -> WalletStatus:
        """Return the status with its MACs; without a session they prove nothing."""
