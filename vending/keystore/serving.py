"""What every security module looks at before it makes a token, wherever its keys lie."""

from datetime import datetime

from vending.keystore.errors import (
    DemoKeyRefusedError,
    KeyExpiredError,
    KeyRetiredError,
    MeterConfigurationError,
    Misfit,
    TokenKindError,
)
from vending.keystore.model import KeyDescription
from vending.keystore.port import (
    CreditTokenRequest,
    KeyChangeRequest,
    KeyChangeSection,
    ManagementTokenRequest,
    VerifiedToken,
)
from vending.sts.explain import explain
from vending.sts.key_change import require_key_type_change
from vending.sts.keys import KeyType, require_derivation
from vending.sts.results import Rejection
from vending.sts.tid import BaseDate, TokenIdentifier, is_key_expired, is_key_expired_at
from vending.sts.tokens import (
    ClearCredit,
    ClearTamperCondition,
    ExtendedToken,
    InitiateMeterTest,
    Set1stSectionDecoderKey,
    Set2ndSectionDecoderKey,
    Set3rdSectionDecoderKey,
    Set4thSectionDecoderKey,
    SetMaximumPhasePowerUnbalanceLimit,
    SetMaximumPowerLimit,
    SetTariffRate,
    SetWaterMeterFactor,
    Token,
    TransferCredit,
)

TID_TOKENS = (
    SetMaximumPowerLimit,
    ClearCredit,
    SetTariffRate,
    ClearTamperCondition,
    SetMaximumPhasePowerUnbalanceLimit,
    SetWaterMeterFactor,
    ExtendedToken,
)
"""Management tokens that carry a TID, and that a module issues one by one."""
_SECTIONS = (
    Set1stSectionDecoderKey,
    Set2ndSectionDecoderKey,
    Set3rdSectionDecoderKey,
    Set4thSectionDecoderKey,
)


def require_known(key: KeyDescription, *, demo_allowed: bool) -> None:
    """Refuse a demonstration key where none may be used.

    Raises:
        DemoKeyRefusedError: The key is for demonstration, and this service is not.
    """
    if key.is_demo and not demo_allowed:
        raise DemoKeyRefusedError(str(key.register))


def require_issuing(key: KeyDescription, *, demo_allowed: bool) -> None:
    """Refuse a key that issues nothing.

    Raises:
        KeyRetiredError: The key issues no more.
        DemoKeyRefusedError: The key is for demonstration, and this service is not.
    """
    require_known(key, demo_allowed=demo_allowed)
    if key.retired_at is not None:
        raise KeyRetiredError(str(key.register))


def build_credit(key: KeyDescription, request: CreditTokenRequest) -> TransferCredit:
    """Return the credit token as it will read, under a key that may carry it.

    Raises:
        MeterConfigurationError: The base date is not the key's, or the key takes no credit.
        KeyExpiredError: The TID lies past the key's expiry.
        UnsupportedError: The meter's algorithm does not go with the key.
    """
    _require_base_date(key, request.base_date)
    _require_valid(key, request.tid)
    if key.register.kt is KeyType.DDTK:
        raise MeterConfigurationError(Misfit.DEFAULT_KEY)
    require_derivation(key.attributes, request.ea)
    return TransferCredit(
        resource=request.resource, rnd=request.rnd, tid=request.tid, units=request.units
    )


def require_management(key: KeyDescription, request: ManagementTokenRequest) -> None:
    """Refuse a token that is no management token, or that the key may not carry.

    Raises:
        MeterConfigurationError: The base date is not the key's.
        KeyExpiredError: The TID lies past the key's expiry.
        TokenKindError: The token is credit, or part of a key change.
        UnsupportedError: The meter's algorithm does not go with the key.
    """
    _require_base_date(key, request.base_date)
    token = request.token
    if isinstance(token, TID_TOKENS):
        _require_valid(key, token.tid)
    elif not isinstance(token, InitiateMeterTest):
        raise TokenKindError(type(token).__name__)
    require_derivation(key.attributes, request.ea)


def require_change(old: KeyDescription, new: KeyDescription, request: KeyChangeRequest) -> None:
    """Refuse a change of key that no meter should be sent.

    Raises:
        KeyExpiredError: The new key has expired at the time of issue.
        KeyTypeChangeError: The old key type may not become the new one.
        CarrierError: The new key is common, and the meter reads no magnetic card.
        UnsupportedError: The meter's algorithm does not go with one of the keys.
    """
    require_unexpired(new, request.issued_at)
    require_derivation(new.attributes, request.ea)
    require_key_type_change(old.attributes.kt, new.attributes.kt, tct=request.tct)
    require_derivation(old.attributes, request.ea)


def as_shown(token: Token | Rejection) -> VerifiedToken:
    """Return what may be told of a token: of a key-change section, all but the key's part."""
    if isinstance(token, _SECTIONS):
        return KeyChangeSection(_SECTIONS.index(type(token)) + 1, explain(token))
    return token


def _require_base_date(key: KeyDescription, base_date: BaseDate) -> None:
    if key.attributes.base_date is not base_date:
        raise MeterConfigurationError(Misfit.BASE_DATE)


def _require_valid(key: KeyDescription, tid: TokenIdentifier) -> None:
    if is_key_expired(tid, key.attributes.ken):
        raise KeyExpiredError(str(key.register), ken=key.attributes.ken)


def require_unexpired(key: KeyDescription, at: datetime) -> None:
    """Refuse a key that has expired by now, as the new one of a key change.

    Raises:
        KeyExpiredError: It has.
    """
    attributes = key.attributes
    if is_key_expired_at(at, attributes.base_date, attributes.ken):
        raise KeyExpiredError(str(key.register), ken=attributes.ken)
