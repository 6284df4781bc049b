"""Passkeys (Web Authentication, Level 3): what the browser is asked, and whether its answer holds.

User verification is required in both ceremonies, so that a passkey is two factors: the device,
and the finger or code that unlocks it. Credentials are discoverable, so that signing in asks for
no name. No attestation is asked for: which make a device is, is not our business.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import webauthn
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from vending.operators.errors import PasskeyRefusedError

CHALLENGE_BYTES: Final = 32
CREDENTIAL_ID_BYTES_MAX: Final = 1023
"""Web Authentication, 4: a credential id is at most so long."""

Credential = Mapping[str, object]
"""What `PublicKeyCredential.toJSON()` gives in a browser."""


@dataclass(frozen=True, slots=True)
class PasskeySite:
    """Where passkeys of this installation hold."""

    rp_id: str
    """Host name, such as `office.example.org`; credentials are bound to it for ever."""
    origin: str
    """Of the pages, such as `https://office.example.org`."""
    name: str
    """What the device shows."""


@dataclass(frozen=True, slots=True)
class PasskeyFacts:
    """What is stored of a passkey; none of it is secret."""

    credential_id: bytes
    public_key: bytes
    """COSE."""
    sign_count: int


def registration_options(
    site: PasskeySite, *, user_id: bytes, user_name: str, challenge: bytes, known: Sequence[bytes]
) -> dict[str, Any]:
    """Return what `navigator.credentials.create` takes; `known` are the account's own passkeys."""
    options = webauthn.generate_registration_options(
        rp_id=site.rp_id,
        rp_name=site.name,
        user_id=user_id,
        user_name=user_name,
        challenge=challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=each) for each in known],
    )
    return _as_json(options)


def check_registration(site: PasskeySite, credential: Credential, challenge: bytes) -> PasskeyFacts:
    """Return the passkey that a device has made.

    Raises:
        PasskeyRefusedError: The answer is malformed, of another challenge, site or origin, or the
            user was not verified.
    """
    try:
        verified = webauthn.verify_registration_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except _MALFORMED as error:
        raise PasskeyRefusedError from error
    if len(verified.credential_id) > CREDENTIAL_ID_BYTES_MAX:
        raise PasskeyRefusedError
    return PasskeyFacts(verified.credential_id, verified.credential_public_key, verified.sign_count)


def request_options(
    site: PasskeySite, *, challenge: bytes, allowed: Sequence[bytes] = ()
) -> dict[str, Any]:
    """Return what `navigator.credentials.get` takes; none allowed means any of this site."""
    options = webauthn.generate_authentication_options(
        rp_id=site.rp_id,
        challenge=challenge,
        allow_credentials=[PublicKeyCredentialDescriptor(id=each) for each in allowed],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return _as_json(options)


def credential_id_of(credential: Credential) -> bytes:
    """Return which passkey an answer claims to be of.

    Raises:
        PasskeyRefusedError: It names none.
    """
    named = credential.get("rawId")
    if not isinstance(named, str):
        raise PasskeyRefusedError
    try:
        credential_id = base64.b64decode(f"{named}==".encode(), altchars=b"-_", validate=False)
    except ValueError as error:
        raise PasskeyRefusedError from error
    if not 0 < len(credential_id) <= CREDENTIAL_ID_BYTES_MAX:
        raise PasskeyRefusedError
    return credential_id


def check_assertion(
    site: PasskeySite, credential: Credential, challenge: bytes, passkey: PasskeyFacts
) -> int:
    """Return the new sign count of a passkey whose answer holds.

    Raises:
        PasskeyRefusedError: The answer is malformed, of another challenge, site, origin or key,
            the user was not verified, or the count did not rise: the passkey may be a copy.
    """
    try:
        verified = webauthn.verify_authentication_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except _MALFORMED as error:
        raise PasskeyRefusedError from error
    return verified.new_sign_count


_MALFORMED: Final = (
    WebAuthnException, ValueError, TypeError, KeyError, AttributeError, LookupError, OverflowError,
)  # fmt: skip
"""What the library raises over an answer that anyone may have written."""


def _as_json(options: Any) -> dict[str, Any]:  # noqa: ANN401 # two classes of the library
    document: dict[str, Any] = json.loads(webauthn.options_to_json(options))
    return document
