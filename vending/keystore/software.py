"""A security module in this process: opens sealed keys and computes tokens from them.

For development, mini-grids and private supply groups; a production supply group wants a module
of its own. A vending key is in the clear only while one decoder key is derived from it. Decoder
keys with their cipher schedules are kept for the meters that bought last.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from vending.errors import VendingError
from vending.keystore.model import KeyDescription, KeyReference
from vending.keystore.port import (
    CreditTokenRequest,
    KeyChange,
    KeyChangeOutcome,
    KeyChangeRequest,
    ManagementTokenRequest,
    VendOutcome,
    VerifiedToken,
    VerifyRequest,
)
from vending.keystore.serving import (
    as_shown,
    build_credit,
    require_issuing,
    require_known,
    require_management,
    require_unexpired,
)
from vending.keystore.store import OpenKeyStore
from vending.keystore.translation import guarded, translate
from vending.sts.codec import decode, encode
from vending.sts.dkga import derive_decoder_key
from vending.sts.errors import STSError
from vending.sts.key_change import encode_key_change_set, plan_key_change
from vending.sts.keys import TI, DecoderKey, EncryptionAlgorithm, VendingKey
from vending.sts.pan import MeterPAN
from vending.sts.tcdu import TokenDigits

DECODER_KEY_COUNT_MAX: Final = 4096
"""Meters whose keys are kept: a derivation costs microseconds, a schedule some kilobytes."""


@dataclass(frozen=True, slots=True)
class MeterKeyName:
    """Everything that a decoder key depends on, beside the vending key's bytes."""

    register: KeyReference
    pan: MeterPAN
    ti: TI
    ea: EncryptionAlgorithm


class DecoderKeyCache:
    """The decoder keys used last, at most `count_max` of them; safe between threads."""

    __slots__ = ("_count_max", "_keys", "_lock")

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._keys: OrderedDict[MeterKeyName, DecoderKey] = OrderedDict()
        self._lock = Lock()

    def find_or_derive(self, meter: MeterKeyName, derive: Callable[[], DecoderKey]) -> DecoderKey:
        """Return the meter's key, from `derive` when it is not held.

        Two threads may derive the same key at once; both get the same bytes.
        """
        with self._lock:
            held = self._keys.get(meter)
            if held is not None:
                self._keys.move_to_end(meter)
                return held
        derived = derive()
        with self._lock:
            self._keys[meter] = derived
            if len(self._keys) > self._count_max:
                self._keys.popitem(last=False)
        return derived

    def __len__(self) -> int:
        with self._lock:
            return len(self._keys)

    def __repr__(self) -> str:
        return f"DecoderKeyCache({len(self)} keys)"


@dataclass(frozen=True, slots=True)
class _Session:
    """One generation of the store and the keys derived from it; replaced together."""

    store: OpenKeyStore = field(repr=False)
    cache: DecoderKeyCache = field(repr=False)


class _OpenedKeys:
    """The vending keys that one call works with: each opened once, none outlives the call."""

    __slots__ = ("_keys", "_store")

    def __init__(self, store: OpenKeyStore) -> None:
        self._store = store
        self._keys: dict[KeyReference, VendingKey] = {}

    def find(self, register: KeyReference) -> VendingKey:
        """Return the key, opened now if it was not."""
        key = self._keys.get(register)
        if key is None:
            key = self._keys[register] = self._store.vending_key(register)
        return key

    def __repr__(self) -> str:
        return f"_OpenedKeys({len(self._keys)} keys)"


class SoftwareSecurityModule:
    """The port over an open key store. Demonstration keys work only where they are allowed."""

    __slots__ = ("_cache_count_max", "_demo_allowed", "_session")

    def __init__(
        self,
        store: OpenKeyStore,
        *,
        demo_allowed: bool,
        cache_count_max: int = DECODER_KEY_COUNT_MAX,
    ) -> None:
        self._demo_allowed = demo_allowed
        self._cache_count_max = cache_count_max
        self._session = _Session(store, DecoderKeyCache(cache_count_max))

    @property
    def is_local(self) -> bool:
        """Say that it computes in this process."""
        return True

    def require_ready(self) -> None:
        """Take whatever comes: arithmetic does not wait."""

    def use(self, store: OpenKeyStore) -> None:
        """Serve from another generation of the store from now on; derived keys are dropped."""
        self._session = _Session(store, DecoderKeyCache(self._cache_count_max))

    @guarded
    def vend(self, register: KeyReference, request: CreditTokenRequest) -> TokenDigits:
        """Return the credit token.

        Raises:
            KeyNotFoundError: The store has no such key.
            KeyRetiredError: The key issues no more.
            KeyExpiredError: The TID lies past the key's expiry.
            DemoKeyRefusedError: The key is for demonstration, and this service is not.
            MeterConfigurationError: The meter's settings do not fit the key.
            TokenValueError: The amount or another value does not fit the token.
            KeyStoreCorruptError: The seal of the key is broken.
        """
        session = self._session
        token = build_credit(self._issuing(session, register), request)
        meter = MeterKeyName(register, request.pan, request.ti, request.ea)
        return encode(token, _decoder_key(session, meter))

    def vend_many(
        self, requests: Sequence[tuple[KeyReference, CreditTokenRequest]]
    ) -> list[VendOutcome]:
        """Return what became of each request, in their order; no refusal stops the others."""
        return [self._attempt(register, request) for register, request in requests]

    @guarded
    def manage(self, register: KeyReference, request: ManagementTokenRequest) -> TokenDigits:
        """Return the management token; credit and key changes have ways of their own.

        Raises:
            KeyNotFoundError: The store has no such key.
            KeyRetiredError: The key issues no more.
            KeyExpiredError: The TID lies past the key's expiry.
            DemoKeyRefusedError: The key is for demonstration, and this service is not.
            MeterConfigurationError: The meter's settings do not fit the key.
            TokenKindError: The token is credit, or part of a key change.
            KeyStoreCorruptError: The seal of the key is broken.
        """
        session = self._session
        require_management(self._issuing(session, register), request)
        meter = MeterKeyName(register, request.pan, request.ti, request.ea)
        return encode(request.token, _decoder_key(session, meter))

    @guarded
    def change_key(
        self, old: KeyReference, new: KeyReference, request: KeyChangeRequest
    ) -> tuple[TokenDigits, ...]:
        """Return the key-change set, 1st section first; the old key may be expired or retired.

        Raises:
            KeyNotFoundError: The store lacks one of the keys.
            KeyRetiredError: The new key issues no more.
            KeyExpiredError: The new key has expired at the time of issue.
            DemoKeyRefusedError: A key is for demonstration, and this service is not.
            MeterConfigurationError: The meter's settings do not fit the keys.
            KeyChangeError: The standard does not allow the change.
            KeyStoreCorruptError: The seal of a key is broken.
        """
        session = self._session
        old_key, new_key = self._require_change(old, new, request)
        present = MeterKeyName(old, request.pan, request.ti, request.ea)
        following = MeterKeyName(new, request.pan, request.new_ti, request.ea)
        change = plan_key_change(
            old_key.attributes,
            new_key.attributes,
            new_key=_decoder_key(session, following),
            new_ti=request.new_ti,
            tct=request.tct,
        )
        return encode_key_change_set(change, _decoder_key(session, present))

    @guarded
    def change_key_many(self, changes: Sequence[KeyChange]) -> list[KeyChangeOutcome]:
        """Return what became of each change, in their order; no refusal stops the others.

        Each vending key is opened once a call and forgotten at its end, and no decoder key is
        kept: a campaign meets each meter once.
        """
        opened = _OpenedKeys(self._session.store)
        return [self._attempt_change(opened, change) for change in changes]

    def _attempt_change(self, opened: "_OpenedKeys", change: KeyChange) -> KeyChangeOutcome:
        old, new, request = change
        try:
            old_key, new_key = self._require_change(old, new, request)
            present = derive_decoder_key(
                opened.find(old), pan=request.pan, ti=request.ti, ea=request.ea
            )
            following = derive_decoder_key(
                opened.find(new), pan=request.pan, ti=request.new_ti, ea=request.ea
            )
            planned = plan_key_change(
                old_key.attributes,
                new_key.attributes,
                new_key=following,
                new_ti=request.new_ti,
                tct=request.tct,
            )
            return encode_key_change_set(planned, present)
        except STSError as error:
            return translate(error)
        except VendingError as refusal:
            return refusal.with_traceback(None)  # whose frames hold keys

    def _require_change(
        self, old: KeyReference, new: KeyReference, request: KeyChangeRequest
    ) -> tuple[KeyDescription, KeyDescription]:
        session = self._session
        old_key = self._known(session, old)
        new_key = self._issuing(session, new)
        require_unexpired(new_key, request.issued_at)
        return old_key, new_key

    @guarded
    def verify(self, register: KeyReference, request: VerifyRequest) -> VerifiedToken:
        """Return what a token says under this meter's key, or why it is none.

        Raises:
            KeyNotFoundError: The store has no such key.
            DemoKeyRefusedError: The key is for demonstration, and this service is not.
            MeterConfigurationError: The meter's settings do not fit the key.
            KeyStoreCorruptError: The seal of the key is broken.
        """
        session = self._session
        self._known(session, register)
        meter = MeterKeyName(register, request.pan, request.ti, request.ea)
        return as_shown(decode(request.digits, _decoder_key(session, meter)))

    def describe(self, register: KeyReference) -> KeyDescription:
        """Return what may be shown of a key.

        Raises:
            KeyNotFoundError: The store has no such key.
        """
        return self._session.store.describe(register)

    def _attempt(self, register: KeyReference, request: CreditTokenRequest) -> VendOutcome:
        try:
            return self.vend(register, request)
        except VendingError as refusal:
            return refusal

    def _known(self, session: _Session, register: KeyReference) -> KeyDescription:
        key = session.store.describe(register)
        require_known(key, demo_allowed=self._demo_allowed)
        return key

    def _issuing(self, session: _Session, register: KeyReference) -> KeyDescription:
        key = session.store.describe(register)
        require_issuing(key, demo_allowed=self._demo_allowed)
        return key

    def __repr__(self) -> str:
        return f"SoftwareSecurityModule({self._session.store!r})"


def _decoder_key(session: _Session, meter: MeterKeyName) -> DecoderKey:
    return session.cache.find_or_derive(
        meter,
        lambda: derive_decoder_key(
            session.store.vending_key(meter.register), pan=meter.pan, ti=meter.ti, ea=meter.ea
        ),
    )
