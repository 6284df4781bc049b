"""What an operator holds in the hand: an app that shows codes, a device that holds a passkey."""

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cbor2
import pyotp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from vending.values.clock import Clock

USER_PRESENT, USER_VERIFIED, HAS_CREDENTIAL = 0x01, 0x04, 0x40


@dataclass(frozen=True)
class CodeApp:
    """An authenticator app that took a secret in."""

    secret: str
    clock: Clock

    def code(self, *, steps_away: int = 0) -> str:
        """What it shows now, or showed or will show some steps of 30 s away."""
        return pyotp.TOTP(self.secret).at(self.clock.now(), counter_offset=steps_away)


@dataclass
class PasskeyDevice:
    """A device with one passkey: answers both ceremonies of Web Authentication by itself."""

    origin: str
    flags: int = USER_PRESENT | USER_VERIFIED
    counts: bool = True
    sign_count: int = 0
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    user_handle: bytes = b""
    private_key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def create(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.create(options)` gives as JSON."""
        self.user_handle = decode(options["user"]["id"])
        numbers = self.private_key.public_key().public_numbers()
        key = cbor2.dumps(
            {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        )
        attested = bytes(16) + len(self.credential_id).to_bytes(2) + self.credential_id + key
        data = self._data(options["rp"]["id"], HAS_CREDENTIAL) + attested
        statement = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            {
                "clientDataJSON": encode(self._client_data("webauthn.create", options)),
                "attestationObject": encode(statement),
                "transports": ["internal"],
            }
        )

    def get(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.get(options)` gives as JSON."""
        if self.counts:
            self.sign_count += 1
        data = self._data(options["rpId"], 0)
        client_data = self._client_data("webauthn.get", options)
        signed = data + hashlib.sha256(client_data).digest()
        return self._answer(
            {
                "clientDataJSON": encode(client_data),
                "authenticatorData": encode(data),
                "signature": encode(self.private_key.sign(signed, ec.ECDSA(SHA256()))),
                "userHandle": encode(self.user_handle),
            }
        )

    def _data(self, rp_id: str, flags: int) -> bytes:
        head = hashlib.sha256(rp_id.encode()).digest()
        return head + bytes([self.flags | flags]) + self.sign_count.to_bytes(4)

    def _client_data(self, kind: str, options: Mapping[str, Any]) -> bytes:
        told = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        return json.dumps({**told, "crossOrigin": False}).encode()

    def _answer(self, response: Mapping[str, Any]) -> dict[str, Any]:
        identity = encode(self.credential_id)
        return {
            "id": identity,
            "rawId": identity,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": dict(response),
        }


def encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return urlsafe_b64decode(f"{text}==")
