from pathlib import Path

import pytest

# Headers by which common TLS terminators say who the client's certificate belongs to.
CLIENT_CERTIFICATE_HEADERS = (
    "Client-Cert", "Client-Cert-Chain", "X-Client-Cert", "X-Client-Verify", "X-Client-Dn",
    "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-Ssl-Client-Cert",
    "X-Ssl-Client-Verify", "Ssl-Client-Cert", "Ssl-Client-Verify", "X-Arr-Clientcert",
    "X-Amzn-Mtls-Clientcert",
)  # fmt: skip


@pytest.fixture
def caddyfile(deploy: Path) -> str:
    return (deploy / "Caddyfile").read_text("utf-8")


@pytest.mark.parametrize("header", CLIENT_CERTIFICATE_HEADERS)
def test_callers_cannot_send_a_client_certificate_header(caddyfile: str, header: str) -> None:
    patterns = [
        line.split("-", 1)[1].strip()
        for line in caddyfile.splitlines()
        if line.strip().startswith("header_up -")
    ]
    assert any(
        header.startswith(pattern[:-1]) if pattern.endswith("*") else header == pattern
        for pattern in patterns
    )


def test_keys_and_sessions_stay_out_of_the_log(caddyfile: str) -> None:
    for header in ("Authorization", "X-Api-Key", "Cookie"):
        assert f"request>headers>{header} delete" in caddyfile


def test_metrics_and_readiness_are_not_public(caddyfile: str) -> None:
    assert "@internal path /metrics /metrics/* /readyz" in caddyfile
    assert "respond @internal 404" in caddyfile


def test_administration_endpoint_is_off(caddyfile: str) -> None:
    assert "admin off" in caddyfile


def test_plain_http_is_not_led_on_to_https(caddyfile: str) -> None:
    assert "auto_https disable_redirects" in caddyfile


def test_tls_is_of_the_versions_in_use(caddyfile: str) -> None:
    assert "protocols tls1.2 tls1.3" in caddyfile


def test_no_answer_names_the_server(caddyfile: str) -> None:
    assert "-Server" in caddyfile
