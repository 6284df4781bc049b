import pytest

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.security import (
    COUNTER_MAX,
    Ciphering,
    Password,
    Protection,
    SecurityContext,
    SecurityKeys,
    compute_proof,
    seal,
    verify_proof,
)
from tests.support.dlms_objects import CLIENT_TITLE, KEYS, SERVER_TITLE

APDU = bytes.fromhex("C001C1006F0000130000FF0500")
TAGGED = [Protection.AUTHENTICATED, Protection.AUTHENTICATED_ENCRYPTED]


def make_pair(
    protection: Protection = Protection.AUTHENTICATED_ENCRYPTED,
    ciphering: Ciphering = Ciphering.GENERAL,
) -> tuple[SecurityContext, SecurityContext]:
    client = SecurityContext(KEYS, title=CLIENT_TITLE, protection=protection, ciphering=ciphering)
    server = SecurityContext(KEYS, title=SERVER_TITLE, protection=protection, ciphering=ciphering)
    client.meet(SERVER_TITLE)
    server.meet(CLIENT_TITLE)
    return client, server


@pytest.mark.parametrize("ciphering", Ciphering)
@pytest.mark.parametrize("protection", Protection)
def test_apdu_comes_back(protection: Protection, ciphering: Ciphering) -> None:
    client, server = make_pair(protection, ciphering)
    for _ in range(3):
        protected = client.protect(APDU)
        assert (APDU in protected) == (protection is Protection.AUTHENTICATED)
        assert server.unprotect(protected) == APDU
    assert server.last_received == 3
    assert server.peer_title == CLIENT_TITLE
    assert client.next_counter == 4


@pytest.mark.parametrize("ciphering", Ciphering)
@pytest.mark.parametrize("protection", TAGGED)
@pytest.mark.parametrize("apdu", [APDU, bytes.fromhex("C701C10000"), bytes.fromhex("D80101")])
def test_every_flipped_bit_is_refused(
    protection: Protection, ciphering: Ciphering, apdu: bytes
) -> None:
    client, server = make_pair(protection, ciphering)
    protected = client.protect(apdu)
    for bit in range(len(protected) * 8):
        flipped = bytearray(protected)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RemoteProtocolError):
            server.unprotect(bytes(flipped))
    assert server.last_received is None
    assert server.unprotect(protected) == apdu


@pytest.mark.parametrize("ciphering", Ciphering)
def test_every_part_is_refused(ciphering: Ciphering) -> None:
    client, server = make_pair(ciphering=ciphering)
    protected = client.protect(APDU)
    for size_bytes in range(len(protected)):
        with pytest.raises(RemoteProtocolError):
            server.unprotect(protected[:size_bytes])


def test_replay_is_refused_and_so_is_what_came_before() -> None:
    client, server = make_pair()
    first, second = client.protect(APDU), client.protect(APDU)
    assert server.unprotect(second) == APDU
    for old in (second, first):
        with pytest.raises(RemoteProtocolError, match="came again"):
            server.unprotect(old)


def test_own_apdu_sent_back_is_refused() -> None:
    for ciphering in Ciphering:
        client, _ = make_pair(ciphering=ciphering)
        with pytest.raises(RemoteProtocolError):
            client.unprotect(client.protect(APDU))


@pytest.mark.parametrize("title", [b"", b"1234567", CLIENT_TITLE])
def test_peer_without_a_title_of_its_own_is_refused(title: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="system title"):
        SecurityContext(KEYS, title=CLIENT_TITLE).meet(title)


def test_plain_apdu_and_one_of_a_stranger_are_refused() -> None:
    client, server = make_pair()
    with pytest.raises(RemoteProtocolError, match="plain APDU 0xC0"):
        server.unprotect(APDU)
    fresh = SecurityContext(KEYS, title=SERVER_TITLE)
    with pytest.raises(RemoteProtocolError, match="not the peer's"):
        fresh.unprotect(client.protect(APDU))
    per_service, _ = make_pair(ciphering=Ciphering.PER_SERVICE)
    with pytest.raises(RemoteProtocolError, match="not the peer's"):
        fresh.unprotect(per_service.protect(APDU))


@pytest.mark.parametrize("weaker", [Protection.AUTHENTICATED, Protection.ENCRYPTED])
def test_weaker_protection_than_agreed_is_refused(weaker: Protection) -> None:
    client, _ = make_pair(weaker)
    _, server = make_pair()
    with pytest.raises(RemoteProtocolError, match="security control"):
        server.unprotect(client.protect(APDU))


def test_service_under_the_tag_of_another_is_refused() -> None:
    client, server = make_pair(ciphering=Ciphering.PER_SERVICE)
    protected = client.protect(APDU)
    with pytest.raises(RemoteProtocolError, match="another service"):
        server.unprotect(b"\xcb" + protected[1:])


def test_counter_that_is_used_up_is_refused() -> None:
    context = SecurityContext(KEYS, title=CLIENT_TITLE, next_counter=COUNTER_MAX)
    context.protect(APDU)
    for act in (context.protect, context.protect_initiate, context.prove):
        with pytest.raises(LocalProtocolError, match="used up"):
            act(bytes.fromhex("01"))


def test_no_counter_is_ever_used_twice() -> None:
    client, _ = make_pair()
    for send in (client.protect, client.prove, client.protect, client.prove):
        before = client.next_counter
        assert before.to_bytes(4, "big") in send(APDU)
        assert client.next_counter == before + 1


def test_proof_holds_for_its_challenge_title_and_key_alone() -> None:
    proof = compute_proof(KEYS, b"challenge", title=CLIENT_TITLE, counter=9)
    assert len(proof) == 17
    assert verify_proof(KEYS, b"challenge", proof, title=CLIENT_TITLE) == 9
    other = SecurityKeys(KEYS.encryption, bytes(16))
    for keys, challenge, title in (
        (KEYS, b"Challenge", CLIENT_TITLE),
        (KEYS, b"challenge", SERVER_TITLE),
        (other, b"challenge", CLIENT_TITLE),
    ):
        with pytest.raises(RemoteProtocolError):
            verify_proof(keys, challenge, proof, title=title)
    for bit in range(len(proof) * 8):
        flipped = bytearray(proof)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RemoteProtocolError):
            verify_proof(KEYS, b"challenge", bytes(flipped), title=CLIENT_TITLE)
    with pytest.raises(RemoteProtocolError, match="17 bytes"):
        verify_proof(KEYS, b"challenge", proof[:-1], title=CLIENT_TITLE)


def test_proof_with_an_old_counter_is_refused() -> None:
    client, server = make_pair()
    proof = client.prove(b"challenge")
    with pytest.raises(RemoteProtocolError, match="came again"):
        server.check_proof(b"challenge", proof, above=1)
    server.check_proof(b"challenge", proof, above=0)
    assert server.last_received == 1


def test_no_repr_shows_a_secret() -> None:
    context, _ = make_pair()
    shown = f"{KEYS!r} {KEYS} {Password(b'secret')!r} {context!r} {[KEYS]} {{'k': {KEYS}}}"
    assert "secret" not in shown
    for key in (KEYS.encryption, KEYS.authentication):
        assert key.hex() not in shown
        assert repr(key)[2:-1] not in shown


@pytest.mark.parametrize(("one", "other"), [(15, 16), (16, 32), (0, 0)])
def test_keys_of_another_size_are_refused(one: int, other: int) -> None:
    with pytest.raises(LocalProtocolError, match="16 bytes"):
        SecurityKeys(bytes(one), bytes(other))


def test_own_title_of_another_size_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="8 bytes"):
        SecurityContext(KEYS, title=b"short")
    with pytest.raises(LocalProtocolError, match="8 bytes"):
        seal(KEYS, Protection.AUTHENTICATED, b"x", title=b"short", counter=1)


def test_password_is_compared_whole() -> None:
    assert Password(b"00000001").matches(b"00000001")
    assert not Password(b"00000001").matches(b"0000000")
