"""OpenID Connect as a relying party: authorization code with PKCE, state and nonce.

From the provider we take who somebody is and how they proved it, and nothing else: no roles, no
new accounts. Its documents are fetched over TLS, bounded in size and time, and kept for an hour.
An ID token is accepted only in this order (OpenID Connect Core 1.0, 3.1.3.7): one of the named
algorithms, a key of the provider's own set, issuer, audience, time, nonce, then the policy on how
the person was authenticated.
"""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from vending.operators.errors import OpenIDRefusedError, OpenIDUnavailableError
from vending.values.clock import Clock

ALGORITHMS: Final = ("RS256", "PS256", "ES256")
"""Signatures with a key pair; never `none`, and never a MAC under a secret that we share."""
DOCUMENT_BYTES_MAX: Final = 262_144
DOCUMENT_KEPT_S: Final = 3_600
KEYS_REFETCHED_S: Final = 60
"""An unknown key id has the set fetched again, no oftener: anybody may make key ids up."""
TIMEOUT_S: Final = 5
LEEWAY_S: Final = 60
TOKEN_AGE_MAX_S: Final = 600
AUTHENTICATION_AGE_MAX_S: Final = 600
"""How long ago the person may have signed in at the provider: asked for as `max_age`."""
SUBJECT_LENGTH_MAX: Final = 255
TOKEN_CHARACTERS_MAX: Final = 16_384

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_SIGNED_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class OpenIDProvider:
    """Which provider, who we are to it, and what we ask of it."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    accepted_amr: frozenset[str]
    """One of these methods has to be among those used (RFC 8176), such as `mfa`."""
    accepted_acr: frozenset[str] = frozenset()
    """Or one of these classes be reached."""


@dataclass(frozen=True, slots=True)
class OpenIDIdentity:
    """Who the provider says somebody is."""

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True)
class _Kept:
    document: Mapping[str, Any]
    at_s: float


class OpenIDClient:
    """Asks one provider; keeps its documents for a while; safe between threads."""

    def __init__(self, provider: OpenIDProvider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._http = httpx2.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)

    @property
    def issuer(self) -> str:
        """Return who the provider is."""
        return self._provider.issuer

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def authorization_url(self, *, state: str, nonce: str, verifier: str) -> str:
        """Return where the browser goes to sign in.

        Raises:
            OpenIDUnavailableError: The provider does not answer, or not as one.
        """
        digest = hashlib.sha256(verifier.encode()).digest()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._provider.client_id,
                "redirect_uri": self._provider.redirect_uri,
                "scope": "openid",
                "state": state,
                "nonce": nonce,
                "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
                "code_challenge_method": "S256",
                "max_age": AUTHENTICATION_AGE_MAX_S,
            }
        )
        return f"{self._endpoint('authorization_endpoint')}?{query}"

    def identify(self, code: str, *, nonce: str, verifier: str) -> OpenIDIdentity:
        """Return who came back from the provider with a code.

        Raises:
            OpenIDUnavailableError: The provider does not answer, or not as one.
            OpenIDRefusedError: It refuses the code, or its token does not hold.
        """
        token = self._exchange(code, verifier)
        claims = self._verified_claims(token)
        self._check_claims(claims, nonce)
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 1 <= len(subject) <= SUBJECT_LENGTH_MAX:
            reason = "subject"
            raise OpenIDRefusedError(reason)
        return OpenIDIdentity(self._provider.issuer, subject)

    # --- the token -------------------------------------------------------------------------------
    def _exchange(self, code: str, verifier: str) -> str:
        provider = self._provider
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": provider.redirect_uri,
            "code_verifier": verifier,
        }
        # RFC 6749, 2.3.1: both halves are form-encoded before they are joined.
        credentials = (quote_plus(provider.client_id), quote_plus(provider.client_secret))
        status, document = self._ask(
            "POST", self._endpoint("token_endpoint"), data=form, auth=credentials
        )
        token = document.get("id_token")
        if status != httpx2.codes.OK or not isinstance(token, str):
            reason = "code"
            raise OpenIDRefusedError(reason)
        return token

    def _verified_claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > TOKEN_CHARACTERS_MAX or token.count(".") != _SIGNED_PARTS - 1:
            reason = "form"
            raise OpenIDRefusedError(reason)
        try:
            return self._decode(token, self._keys(DOCUMENT_KEPT_S))
        except (JoseError, ValueError):
            # The provider may have changed its keys since they were fetched.
            try:
                return self._decode(token, self._keys(KEYS_REFETCHED_S))
            except (JoseError, ValueError) as error:
                reason = "signature"
                raise OpenIDRefusedError(reason) from error

    @staticmethod
    def _decode(token: str, keys: KeySet) -> Mapping[str, Any]:
        decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
        if decoded.header.get("typ", "JWT") != "JWT":  # RFC 8725, 3.11: of another kind
            reason = "form"
            raise OpenIDRefusedError(reason)
        return decoded.claims

    def _check_claims(self, claims: Mapping[str, Any], nonce: str) -> None:
        now = int(self._clock.now().timestamp())
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        is_ours = self._provider.client_id in audiences and (
            len(audiences) == 1 or claims.get("azp") == self._provider.client_id
        )
        checks = {
            "issuer": claims.get("iss") == self._provider.issuer,
            "audience": is_ours,
            "expired": now < _seconds(claims, "exp") + LEEWAY_S,
            "issued": now - TOKEN_AGE_MAX_S <= _seconds(claims, "iat") <= now + LEEWAY_S,
            "nonce": hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode()),
            "authentication_age": (
                now - AUTHENTICATION_AGE_MAX_S - LEEWAY_S <= _seconds(claims, "auth_time")
            ),
            "method": self._is_strong(claims),
        }
        for reason, holds in checks.items():
            if not holds:
                raise OpenIDRefusedError(reason)

    def _is_strong(self, claims: Mapping[str, Any]) -> bool:
        methods = claims.get("amr")
        named = (
            {method for method in methods if isinstance(method, str)}
            if isinstance(methods, list)
            else set()
        )
        level = claims.get("acr")
        is_level = isinstance(level, str) and level in self._provider.accepted_acr
        return is_level or bool(named & self._provider.accepted_amr)

    # --- the provider's documents ----------------------------------------------------------------
    def _keys(self, kept_s: int) -> KeySet:
        document = self._document(self._endpoint("jwks_uri"), kept_s)
        found = document.get("keys")
        usable = [
            key
            for key in (found if isinstance(found, list) else [])
            if isinstance(key, dict)
            and key.get("kty") in {"RSA", "EC"}
            and key.get("use") in {None, "sig"}
        ]
        return KeySet.import_key_set({"keys": usable})

    def _endpoint(self, name: str) -> str:
        """Return an address out of the discovery document.

        Raises:
            OpenIDUnavailableError: The provider does not answer, or not as one.
        """
        issuer = self._provider.issuer
        document = self._document(
            f"{issuer.rstrip('/')}/.well-known/openid-configuration", DOCUMENT_KEPT_S
        )
        url = document.get(name)
        if document.get("issuer") != issuer or not isinstance(url, str) or not is_safe_url(url):
            reason = "its discovery document does not fit"
            raise OpenIDUnavailableError(reason)
        return url

    def _document(self, url: str, kept_s: int) -> Mapping[str, Any]:
        now_s = self._clock.monotonic_s()
        with self._lock:
            kept = self._kept.get(url)
        if kept is not None and now_s - kept.at_s < kept_s:
            return kept.document
        status, document = self._ask("GET", url)
        if status != httpx2.codes.OK:
            reason = f"it answered {status}"
            raise OpenIDUnavailableError(reason)
        with self._lock:
            self._kept[url] = _Kept(document, now_s)
        return document

    def _ask(
        self,
        method: str,
        url: str,
        *,
        data: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> tuple[int, Mapping[str, Any]]:
        """Return status and JSON object of an answer.

        Raises:
            OpenIDUnavailableError: There is none in time, it is too long, or no JSON object.
        """
        body = bytearray()
        try:
            with self._http.stream(method, url, data=data, auth=auth) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > DOCUMENT_BYTES_MAX:
                        reason = "its answer is too long"
                        raise OpenIDUnavailableError(reason)
            document = json.loads(body)
        except httpx2.HTTPError as error:
            raise OpenIDUnavailableError(type(error).__name__) from error
        except ValueError as error:
            reason = "its answer is no JSON"
            raise OpenIDUnavailableError(reason) from error
        if not isinstance(document, dict):
            reason = "its answer is no JSON object"
            raise OpenIDUnavailableError(reason)
        return response.status_code, document


def is_safe_url(url: str) -> bool:
    """Return whether an address is one of TLS; on this machine plain HTTP passes as well."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if host is None or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    """Return a time claim; what is missing or no number is longer ago than anything."""
    value = claims.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return int(value) if is_number and value is not None else -1
    except (ValueError, OverflowError):
        return -1
