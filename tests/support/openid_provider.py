"""An OpenID provider on a loopback port: real sockets, real signatures, and faults on demand."""

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from vending.values.clock import Clock

CLIENT_ID = "vending office"
CLIENT_SECRET = "s3cret+of/the office"
REDIRECT_URI = "https://office.example.org/openid"


@cache
def make_key(name: str) -> RSAKey:
    """A key pair, made once for each name; each goes by the same key id."""
    assert name
    return RSAKey.generate_key(2048, {"kid": "k1"})


@dataclass
class Provider:
    """What the provider does and what it was asked; tests change it between requests."""

    clock: Clock
    subject: str = "person-1"
    key: RSAKey = field(default_factory=lambda: make_key("first"))
    claims: dict[str, Any] = field(default_factory=dict)
    """Replace claims of the token; None takes one away."""
    header: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    sign: Callable[[Mapping[str, Any], Mapping[str, Any]], str] | None = None
    answer: Callable[[str], tuple[int, bytes] | None] = field(default=lambda path: None)  # noqa: ARG005 # the plain case
    """Another answer than the usual one, by path."""
    asked: list[str] = field(default_factory=list)
    issuer: str = ""
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def visit(self, url: str) -> tuple[str, str]:
        """What a browser comes back with after its user has signed in: code and state."""
        parts = urlsplit(url)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert f"{self.issuer}/authorize" == url.split("?", 1)[0]
        assert asked["response_type"] == "code"
        assert asked["scope"] == "openid"
        assert asked["redirect_uri"] == REDIRECT_URI
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        return code, asked["state"]

    def _document(self, path: str) -> dict[str, Any] | None:
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                **self.discovery,
            }
        if path == "/keys":
            return {"keys": [self.key.as_dict(private=False)]}
        return None

    def _token(self, form: Mapping[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        wanted = base64.b64encode(b"vending+office:s3cret%2Bof%2Fthe+office").decode()
        asked = self._codes.pop(form.get("code", ""), None)
        if authorization != f"Basic {wanted}" or asked is None:
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": self.subject,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": asked["nonce"],
            "amr": ["pwd", "mfa"],
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": "RS256", "kid": "k1", **self.header}
        signed = (
            self.sign(header, claims)
            if self.sign is not None
            else jwt.encode(header, claims, self.key, algorithms=["RS256"])
        )
        return 200, {"access_token": "unused", "token_type": "Bearer", "id_token": signed}

    def respond(self, path: str, body: str, authorization: str) -> tuple[int, bytes]:
        self.asked.append(path)
        other = self.answer(path)
        if other is not None:
            return other
        if path == "/token":
            form = {name: values[0] for name, values in parse_qs(body).items()}
            status, document = self._token(form, authorization)
            return status, json.dumps(document).encode()
        found = self._document(path)
        return (404, b"{}") if found is None else (200, json.dumps(found).encode())


@contextmanager
def running_provider(clock: Clock) -> Iterator[Provider]:
    provider = Provider(clock)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _answer(self, body: str) -> None:
            authorization = self.headers.get("Authorization", "")
            status, document = provider.respond(self.path, body, authorization)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 # as declared
            del format, arguments

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
