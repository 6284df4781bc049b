"""Ciphered APDUs and the HLS-5 proof, in security suite 0: AES-128-GCM with tags of 12 bytes.

IEC 62056-53 (DLMS UA 1000-2, 9.2.7); NIST SP 800-38D:

    general    DB | 08 system title (8) | length | SC | counter (4) | payload
    service    glo tag | length | SC | counter (4) | payload
    SC 10      payload = plain APDU | tag; the tag covers SC, authentication key, plain APDU
    SC 20      payload = ciphered APDU: **no tag, so damage and forgery go unseen**
    SC 30      payload = ciphered APDU | tag; the tag covers SC, authentication key, ciphered APDU
    proof      10 | counter (4) | tag over SC, authentication key, challenge

The nonce is the sender's system title and its invocation counter, so a counter is used once under
a key: it rises with every APDU and every proof, also over associations. Whoever holds a context
keeps `next_counter` and `last_received` for the next one. The receiver wants the counter to
rise too; it moves only once the tag has proved the APDU. A side refuses a peer with its own
title: the two would share nonces, and APDUs could be sent back to where they came from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.constant_time import bytes_eq

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.octets import Cursor, encode_octets

KEY_SIZE: Final = 16
SYSTEM_TITLE_SIZE: Final = 8
TAG_SIZE: Final = 12
COUNTER_MAX: Final = 0xFFFF_FFFF
GENERAL_GLO: Final = 0xDB
CHALLENGE_SIZE_MIN: Final = 8
CHALLENGE_SIZE_MAX: Final = 64
PROOF_SIZE: Final = 1 + 4 + TAG_SIZE
OVERHEAD_MAX: Final = 2 + SYSTEM_TITLE_SIZE + 4 + 1 + 4 + TAG_SIZE
"""How many bytes ciphering can add to an APDU of up to 65,535 bytes."""

GLO_TAGS: Final[Mapping[int, int]] = {
    0x01: 0x21,
    0x08: 0x28,
    0xC0: 0xC8,
    0xC1: 0xC9,
    0xC3: 0xCB,
    0xC4: 0xCC,
    0xC5: 0xCD,
    0xC7: 0xCF,
}
"""The tag of each ciphered service by that of its plain APDU."""

_PLAIN_TAGS: Final = {glo: plain for plain, glo in GLO_TAGS.items()}
CIPHERED_TAGS: Final = frozenset({GENERAL_GLO, *_PLAIN_TAGS})


class Protection(IntEnum):
    """The security control byte for suite 0 with the unicast key."""

    AUTHENTICATED = 0x10
    ENCRYPTED = 0x20
    AUTHENTICATED_ENCRYPTED = 0x30


class Ciphering(Enum):
    """In which form a side sends ciphered services; it reads both."""

    GENERAL = auto()
    PER_SERVICE = auto()


@dataclass(frozen=True, slots=True, repr=False)
class SecurityKeys:
    """Global unicast encryption key and authentication key; the repr shows neither."""

    encryption: bytes
    authentication: bytes

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            LocalProtocolError: If a key has not 16 bytes.
        """
        if {len(self.encryption), len(self.authentication)} != {KEY_SIZE}:
            message = f"keys of security suite 0 have {KEY_SIZE} bytes"
            raise LocalProtocolError(message)

    def __repr__(self) -> str:
        return "SecurityKeys(redacted)"


@dataclass(frozen=True, slots=True, repr=False)
class Password:
    """The secret of low level security; the repr does not show it."""

    octets: bytes

    def __repr__(self) -> str:
        return "Password(redacted)"

    def matches(self, presented: bytes) -> bool:
        """Return whether they are equal, in a time that does not tell how far."""
        return bytes_eq(self.octets, presented)


@dataclass(frozen=True, slots=True)
class Deciphered:
    """A plain APDU and the invocation counter that its ciphering had."""

    apdu: bytes
    counter: int


def seal(
    keys: SecurityKeys, protection: Protection, plain: bytes, *, title: bytes, counter: int
) -> bytes:
    """Return SC, counter and payload.

    Raises:
        LocalProtocolError: If title or counter does not fit.
    """
    cipher = _cipher(keys, title, counter).encryptor()
    head = bytes([protection]) + counter.to_bytes(4, "big")
    if protection is Protection.ENCRYPTED:
        return head + cipher.update(plain) + cipher.finalize()
    if protection is Protection.AUTHENTICATED:
        cipher.authenticate_additional_data(_covered(keys, protection) + plain)
        payload = plain + cipher.finalize()
    else:
        cipher.authenticate_additional_data(_covered(keys, protection))
        payload = cipher.update(plain) + cipher.finalize()
    return head + payload + cipher.tag[:TAG_SIZE]


def unseal(
    keys: SecurityKeys, protection: Protection, sealed: bytes, *, title: bytes
) -> Deciphered:
    """Return the plain APDU out of SC, counter and payload.

    Raises:
        RemoteProtocolError: If SC is not the wanted protection, or the tag is wrong.
    """
    cursor = Cursor(sealed)
    control, counter = cursor.take_byte(), cursor.take_number(4)
    if control != protection:
        reason = f"security control 0x{control:02X} came instead of 0x{protection:02X}"
        raise RemoteProtocolError(reason)
    if protection is Protection.ENCRYPTED:
        cipher = _cipher(keys, title, counter).encryptor()
        return Deciphered(cipher.update(cursor.take_rest()) + cipher.finalize(), counter)
    payload = cursor.take(max(cursor.left_size_bytes - TAG_SIZE, 0))
    opener = _cipher(keys, title, counter, tag=cursor.take(TAG_SIZE)).decryptor()
    try:
        if protection is Protection.AUTHENTICATED:
            opener.authenticate_additional_data(_covered(keys, protection) + payload)
            opener.finalize()
            return Deciphered(payload, counter)
        opener.authenticate_additional_data(_covered(keys, protection))
        return Deciphered(opener.update(payload) + opener.finalize(), counter)
    except InvalidTag as error:
        reason = "the tag of a ciphered APDU is wrong: another key, or it was changed on the way"
        raise RemoteProtocolError(reason) from error


def compute_proof(keys: SecurityKeys, challenge: bytes, *, title: bytes, counter: int) -> bytes:
    """Return f(challenge) of HLS-5: SC, counter and tag, 17 bytes.

    Raises:
        LocalProtocolError: If title or counter does not fit.
    """
    sealed = seal(keys, Protection.AUTHENTICATED, challenge, title=title, counter=counter)
    return sealed[: -TAG_SIZE - len(challenge)] + sealed[-TAG_SIZE:]


def verify_proof(keys: SecurityKeys, challenge: bytes, proof: bytes, *, title: bytes) -> int:
    """Return the counter of a proof that holds.

    Raises:
        RemoteProtocolError: If it does not.
    """
    if len(proof) != PROOF_SIZE:
        reason = f"a proof of HLS-5 has {PROOF_SIZE} bytes, not {len(proof)}"
        raise RemoteProtocolError(reason)
    sealed = proof[:5] + challenge + proof[5:]
    return unseal(keys, Protection.AUTHENTICATED, sealed, title=title).counter


def check_system_title(title: bytes) -> None:
    """Check a system title of our own.

    Raises:
        LocalProtocolError: If it has not 8 bytes.
    """
    if len(title) != SYSTEM_TITLE_SIZE:
        message = f"a system title has {SYSTEM_TITLE_SIZE} bytes"
        raise LocalProtocolError(message)


class SecurityContext:
    """Keys, titles and counters of one association; see the module for its laws.

    `next_counter` is the one that leaves next, `last_received` the highest that was proved, `None`
    before the first. Both are the caller's to keep over associations.
    """

    def __init__(
        self,
        keys: SecurityKeys,
        *,
        title: bytes,
        protection: Protection = Protection.AUTHENTICATED_ENCRYPTED,
        ciphering: Ciphering = Ciphering.GENERAL,
        next_counter: int = 1,
        last_received: int | None = None,
    ) -> None:
        check_system_title(title)
        self._keys = keys
        self.title = title
        self.protection = protection
        self.ciphering = ciphering
        self.next_counter = next_counter
        self.last_received = last_received
        self._peer_title: bytes | None = None

    def __repr__(self) -> str:
        return f"SecurityContext(title={self.title.hex()}, {self.protection.name}, keys redacted)"

    @property
    def peer_title(self) -> bytes | None:
        """Return the other side's system title; `None` before it is known."""
        return self._peer_title

    def meet(self, peer_title: bytes) -> None:
        """Learn the other side's system title.

        Raises:
            RemoteProtocolError: If it is none, or our own.
        """
        if len(peer_title) != SYSTEM_TITLE_SIZE or peer_title == self.title:
            reason = "the peer's system title is none, or the same as ours"
            raise RemoteProtocolError(reason, frame=peer_title)
        self._peer_title = peer_title

    def protect(self, apdu: bytes) -> bytes:
        """Return the ciphered APDU, in the form of this context where the service has it.

        Raises:
            LocalProtocolError: If the counter is used up: the key must be replaced.
        """
        glo_tag = GLO_TAGS.get(apdu[0])
        if glo_tag is None or self.ciphering is Ciphering.GENERAL:
            head = bytes([GENERAL_GLO]) + encode_octets(self.title)
        else:
            head = bytes([glo_tag])
        return head + encode_octets(self._seal(apdu))

    def protect_initiate(self, apdu: bytes) -> bytes:
        """Return the ciphered form of an initiate request or response, glo in both forms.

        Raises:
            LocalProtocolError: If the counter is used up.
        """
        return bytes([GLO_TAGS[apdu[0]]]) + encode_octets(self._seal(apdu))

    def decipher(self, apdu: bytes) -> Deciphered:
        """Return the plain APDU; its counter is yet to be accepted.

        Raises:
            RemoteProtocolError: If it is not ciphered as agreed, or its tag is wrong.
        """
        cursor = Cursor(apdu)
        tag = cursor.take_byte()
        if tag not in CIPHERED_TAGS:
            reason = f"a plain APDU 0x{tag:02X} came where ciphered ones are agreed on"
            raise RemoteProtocolError(reason)
        title = cursor.take_octets() if tag == GENERAL_GLO else self._peer_title
        sealed = cursor.take_octets()
        cursor.finish("a ciphered APDU")
        if title is None or title != self._peer_title:
            reason = "a ciphered APDU is of a system title that is not the peer's"
            raise RemoteProtocolError(reason)
        deciphered = unseal(self._keys, self.protection, sealed, title=title)
        if tag != GENERAL_GLO and deciphered.apdu[:1] != bytes([_PLAIN_TAGS[tag]]):
            reason = "a ciphered APDU holds another service than its tag says"
            raise RemoteProtocolError(reason)
        return deciphered

    def is_fresh(self, counter: int) -> bool:
        """Return whether a counter is above all received before."""
        return self.last_received is None or counter > self.last_received

    def accept(self, counter: int) -> None:
        """Take note of a counter whose APDU has been proved.

        Raises:
            RemoteProtocolError: If it is not above all before: a replay.
        """
        if not self.is_fresh(counter):
            reason = f"invocation counter {counter} came again: {self.last_received} was there"
            raise RemoteProtocolError(reason)
        self.last_received = counter

    def unprotect(self, apdu: bytes) -> bytes:
        """Return the plain APDU and take note of its counter.

        Raises:
            RemoteProtocolError: If it is not ciphered as agreed, its tag is wrong, or a replay.
        """
        deciphered = self.decipher(apdu)
        self.accept(deciphered.counter)
        return deciphered.apdu

    def prove(self, challenge: bytes) -> bytes:
        """Return f(challenge) for the peer.

        Raises:
            LocalProtocolError: If the counter is used up.
        """
        return compute_proof(self._keys, challenge, title=self.title, counter=self._take_counter())

    def check_proof(self, challenge: bytes, proof: bytes, *, above: int | None) -> None:
        """Check the peer's f(challenge).

        The challenge is fresh, so no proof can be replayed; its counter must still be `above` the
        last one received before the APDU that brought it. It may equal that APDU's own: some
        clients use one counter for both.

        Raises:
            RemoteProtocolError: If it does not hold, or its counter was used before.
        """
        assert self._peer_title is not None, "titles come with the challenges"
        counter = verify_proof(self._keys, challenge, proof, title=self._peer_title)
        if above is not None and counter <= above:
            reason = f"invocation counter {counter} came again in a proof"
            raise RemoteProtocolError(reason)
        self.last_received = max(counter, self.last_received or 0)

    def _seal(self, apdu: bytes) -> bytes:
        counter = self._take_counter()
        return seal(self._keys, self.protection, apdu, title=self.title, counter=counter)

    def _take_counter(self) -> int:
        counter = self.next_counter
        if not 0 <= counter <= COUNTER_MAX:
            message = "the invocation counter is used up; replace the keys"
            raise LocalProtocolError(message)
        self.next_counter = counter + 1
        return counter


def _covered(keys: SecurityKeys, protection: Protection) -> bytes:
    return bytes([protection]) + keys.authentication


def _cipher(
    keys: SecurityKeys, title: bytes, counter: int, *, tag: bytes | None = None
) -> Cipher[GCM]:
    check_system_title(title)
    nonce = title + counter.to_bytes(4, "big")
    return Cipher(AES(keys.encryption), GCM(nonce, tag, min_tag_length=TAG_SIZE))
