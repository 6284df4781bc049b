"""A security module over a PKCS#11 token: vending keys are derived from inside it.

What lies where:

    DKGA04 vending key     in the token, not extractable; one HMAC there gives a meter's key
    DKGA02 vending key     in the key store, sealed: see below
    root key of the store  sealed under a key that only the token computes (`TokenUnlock`)
    a meter's decoder key  in this process, for one call

EA07 and EA11 are no mechanisms of PKCS#11, so the decoder key of one meter is in our memory while
its token is encrypted; none is kept. A DKGA02 decoder key is DES_VK(X) xor X xor VK: whoever holds
one, and may ask the token for DES_VK(X), holds VK. A token would protect nothing there, so such
keys stay sealed in the store and are opened for one derivation, as in the software module.
"""

import hmac
from collections.abc import Sequence
from typing import Final

from vending.errors import VendingError
from vending.keystore.model import KeyDescription, KeyReference
from vending.keystore.module_errors import TokenKeyMissingError
from vending.keystore.pkcs11 import PKCS11Token
from vending.keystore.port import (
    CreditTokenRequest,
    KeyChange,
    KeyChangeOutcome,
    KeyChangeRequest,
    ManagementTokenRequest,
    VendOutcome,
    VerifiedToken,
    VerifyRequest,
    change_keys_one_by_one,
)
from vending.keystore.serving import (
    as_shown,
    build_credit,
    require_change,
    require_issuing,
    require_known,
    require_management,
)
from vending.keystore.store import OpenKeyStore
from vending.keystore.translation import guarded
from vending.sts.codec import decode, encode
from vending.sts.dkga import build_data_block, derive_decoder_key
from vending.sts.key_change import encode_key_change_set, plan_key_change
from vending.sts.keys import TI, DecoderKey, EncryptionAlgorithm, require_derivation
from vending.sts.pan import MeterPAN
from vending.sts.tcdu import TokenDigits

_PROOF: Final = bytes(8)
_PROOF_BYTES: Final = 3


class PKCS11SecurityModule:
    """The port over an open key store whose keys lie in a token; not local: a token may hang."""

    def __init__(self, store: OpenKeyStore, token: PKCS11Token, *, demo_allowed: bool) -> None:
        self._store = store
        self._token = token
        self._demo_allowed = demo_allowed

    @property
    def is_local(self) -> bool:
        """Say that a token may take its time."""
        return False

    def use(self, store: OpenKeyStore) -> None:
        """Serve from another generation of the store from now on."""
        self._store = store

    def require_ready(self) -> None:
        """Take whatever comes: only asking tells; see `vending.keystore.guarded`."""

    @guarded
    def vend(self, register: KeyReference, request: CreditTokenRequest) -> TokenDigits:
        """Return the credit token.

        Raises:
            KeyRefusedError: The key is missing, retired, expired, or for demonstration.
            TokenRequestError: The meter's settings or the amount do not fit.
            ModuleError: The token cannot be used, or did not answer.
        """
        key = self._issuing(register)
        token = build_credit(key, request)
        return encode(token, self._decoder_key(key, request.pan, request.ti, request.ea))

    def vend_many(
        self, requests: Sequence[tuple[KeyReference, CreditTokenRequest]]
    ) -> list[VendOutcome]:
        """Return what became of each request, in their order; no refusal stops the others."""
        return [self._attempt(register, request) for register, request in requests]

    @guarded
    def manage(self, register: KeyReference, request: ManagementTokenRequest) -> TokenDigits:
        """Return the management token.

        Raises:
            KeyRefusedError: The key is missing, retired, expired, or for demonstration.
            TokenRequestError: The meter's settings or the token do not fit.
            ModuleError: The token cannot be used, or did not answer.
        """
        key = self._issuing(register)
        require_management(key, request)
        decoder_key = self._decoder_key(key, request.pan, request.ti, request.ea)
        return encode(request.token, decoder_key)

    @guarded
    def change_key(
        self, old: KeyReference, new: KeyReference, request: KeyChangeRequest
    ) -> tuple[TokenDigits, ...]:
        """Return the key-change set, 1st section first.

        Raises:
            KeyRefusedError: A key is missing or for demonstration, or the new one is retired or
                expired.
            TokenRequestError: The meter's settings or the change do not fit.
            ModuleError: The token cannot be used, or did not answer.
        """
        present, following = self._known(old), self._issuing(new)
        require_change(present, following, request)
        change = plan_key_change(
            present.attributes,
            following.attributes,
            new_key=self._decoder_key(following, request.pan, request.new_ti, request.ea),
            new_ti=request.new_ti,
            tct=request.tct,
        )
        held = self._decoder_key(present, request.pan, request.ti, request.ea)
        return encode_key_change_set(change, held)

    def change_key_many(self, changes: Sequence[KeyChange]) -> list[KeyChangeOutcome]:
        """Return what became of each change, in their order; no refusal stops the others."""
        return change_keys_one_by_one(self, changes)

    @guarded
    def verify(self, register: KeyReference, request: VerifyRequest) -> VerifiedToken:
        """Return what a token says under this meter's key, or why it is none.

        Raises:
            KeyRefusedError: The key is missing, or for demonstration.
            TokenRequestError: The meter's settings do not fit.
            ModuleError: The token cannot be used, or did not answer.
        """
        key = self._known(register)
        decoder_key = self._decoder_key(key, request.pan, request.ti, request.ea)
        return as_shown(decode(request.digits, decoder_key))

    def describe(self, register: KeyReference) -> KeyDescription:
        """Return what may be shown of a key.

        Raises:
            KeyNotFoundError: The store has no such key.
        """
        return self._store.describe(register)

    def check_keys(self) -> dict[KeyReference, bool]:
        """Return of each key whether it lies in the token.

        Raises:
            TokenKeyMissingError: The token lacks a key that it should hold, or holds another.
            TokenDeviceError: The token cannot be used.
            ModuleUnavailableError: The token did not answer.
        """
        return {key.register: self._is_in_token(key) for key in self._store.list_keys()}

    def _is_in_token(self, key: KeyDescription) -> bool:
        key_id = self._store.token_key_id(key.register)
        if key_id is None:
            return False
        self._require_its_key(key, key_id)
        return True

    def _require_its_key(self, key: KeyDescription, key_id: bytes) -> None:
        """Hold the key in the token against the check value that the store vouches for.

        Raises:
            TokenKeyMissingError: The token lacks the key, or holds another in its place.
        """
        proof = self._token.authenticate(key_id, _PROOF)[:_PROOF_BYTES].hex().upper()
        if not hmac.compare_digest(proof, key.check_value):
            raise TokenKeyMissingError(str(key.register))

    def _decoder_key(
        self, key: KeyDescription, pan: MeterPAN, ti: TI, ea: EncryptionAlgorithm
    ) -> DecoderKey:
        require_derivation(key.attributes, ea)
        key_id = self._store.token_key_id(key.register)
        if key_id is None:
            vending_key = self._store.vending_key(key.register)
            return derive_decoder_key(vending_key, pan=pan, ti=ti, ea=ea)
        self._require_its_key(key, key_id)
        block = build_data_block(key.attributes, pan=pan, ti=ti, ea=ea)
        code = self._token.authenticate(key_id, block)
        return DecoderKey(code[: ea.key_size_bytes], ea)

    def _known(self, register: KeyReference) -> KeyDescription:
        key = self._store.describe(register)
        require_known(key, demo_allowed=self._demo_allowed)
        return key

    def _issuing(self, register: KeyReference) -> KeyDescription:
        key = self._store.describe(register)
        require_issuing(key, demo_allowed=self._demo_allowed)
        return key

    def _attempt(self, register: KeyReference, request: CreditTokenRequest) -> VendOutcome:
        try:
            return self.vend(register, request)
        except VendingError as refusal:
            return refusal

    def __repr__(self) -> str:
        return f"PKCS11SecurityModule({self._token!r}, {self._store!r})"
