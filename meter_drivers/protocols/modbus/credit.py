"""The credit block of the open prepay profile: an order the meter carries out exactly once.

Ours, over Modbus function 0x10 (Modbus Application Protocol V1.1b3, 6.12); one frame writes the
whole block:

    register  0-1   seq        u32, the last one carried out + 1
              2     operation  u16, `CreditOperation`
              3-4   amount     s32, 0.01 kWh
              5-6   argument   u32, the operation's
              7-10  MAC        the first 8 bytes of HMAC-SHA-256 (FIPS 198-1) under the site key of
                               this meter, over the domain, the DRN and registers 0-6

Its laws, in `judge_credit_order`, which both ends share:
- the order carried out last, written again with the same content, changes nothing and has the
  stored result;
- the same seq with other content, and every seq but the next, is refused;
- a MAC that does not fit is refused before anything else is looked at.

Damage survived: a lost answer (write the same block again), a repeated frame (carried out once),
a block made for another meter or altered on the way (MAC).
"""

import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Self

from meter_drivers.errors import LocalProtocolError
from meter_drivers.protocols.modbus.blocks import Layout, lay_out
from meter_drivers.registers import Encoding

MAC_SIZE_BYTES: Final = 8
SITE_KEY_SIZE_BYTES: Final = 32
_DOMAIN: Final = b"open-prepay-credit-v1\0"
_ORDER: Final = struct.Struct(">IHiI")

CREDIT_LAYOUT: Final[Layout] = lay_out(
    ("credit.seq", Encoding.U32),
    ("credit.operation", Encoding.U16),
    ("credit.amount", Encoding.S32),
    ("credit.argument", Encoding.U32),
    ("credit.mac", Encoding.U64),
)
CREDIT_REGISTER_COUNT: Final = 11


class CreditOperation(IntEnum):
    """What a credit order asks for."""

    ADD_CREDIT = 1
    """Add `amount`, which is above zero."""
    CLEAR_CREDIT = 2
    """Set the balance to zero; amount 0."""
    SET_POWER_LIMIT = 3
    """Set the power limit to `argument` watts; amount 0."""


class CreditResult(IntEnum):
    """What became of a credit order; the numbers are those in the status block."""

    NONE = 0
    DONE = 1
    MAC_ERROR = 2
    SEQUENCE_GAP = 3
    """The seq is not the next one."""
    SEQUENCE_REUSED = 4
    """The seq of the last order, with other content."""
    OPERATION_UNKNOWN = 5
    RANGE_ERROR = 6
    """The amount or the argument is not one of this operation."""
    OVERFLOW_ERROR = 7
    """The credit register would overflow."""
    LOCAL_ONLY = 8
    """The meter does not take credit over this port now."""


class Verdict(IntEnum):
    """What a meter does with a credit order whose MAC and sequence it has judged."""

    CARRY_OUT = 1
    REPEAT_ANSWER = 2


@dataclass(frozen=True, slots=True)
class SiteKey:
    """The key one meter shares with its site, 32 bytes; never shown."""

    material: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.material) != SITE_KEY_SIZE_BYTES:
            message = f"a site key has {SITE_KEY_SIZE_BYTES} bytes, not {len(self.material)}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class CreditOrder:
    """What is asked of one meter; `amount` in 0.01 kWh."""

    seq: int
    operation: int
    amount: int = 0
    argument: int = 0

    def sign(self, key: SiteKey, *, drn: str) -> "SignedCreditOrder":
        """Return the order with its MAC for the meter of this DRN.

        Raises:
            LocalProtocolError: If a field does not fit its registers.
        """
        try:
            content = self._to_bytes()
        except struct.error as error:
            message = f"the credit order does not fit its block: {error}"
            raise LocalProtocolError(message) from error
        return SignedCreditOrder(self, _compute_mac(key, drn, content))

    def _to_bytes(self) -> bytes:
        return _ORDER.pack(self.seq, self.operation, self.amount, self.argument)


@dataclass(frozen=True, slots=True)
class SignedCreditOrder:
    """An order and its MAC, as one frame carries it."""

    order: CreditOrder
    mac: bytes

    def to_registers(self) -> tuple[int, ...]:
        """Return the 11 registers of the block."""
        content = self.order._to_bytes() + self.mac  # noqa: SLF001 # two classes of one block
        return struct.unpack(f">{CREDIT_REGISTER_COUNT}H", content)

    @classmethod
    def from_registers(cls, words: Sequence[int]) -> Self:
        """Return the order in the 11 registers of the block; nothing is believed yet."""
        assert len(words) == CREDIT_REGISTER_COUNT, "a credit block is written whole"
        content = struct.pack(f">{CREDIT_REGISTER_COUNT}H", *words)
        order = CreditOrder(*_ORDER.unpack(content[: _ORDER.size]))
        return cls(order, content[_ORDER.size :])

    def is_from(self, key: SiteKey, *, drn: str) -> bool:
        """Return whether the MAC was made with this key for this meter, in constant time."""
        expected = _compute_mac(key, drn, self.order._to_bytes())  # noqa: SLF001 # as above
        return hmac.compare_digest(expected, self.mac)


def judge_credit_order(
    signed: SignedCreditOrder,
    *,
    key: SiteKey,
    drn: str,
    last: SignedCreditOrder | None,
) -> Verdict | CreditResult:
    """Return what a meter does with an order, given the one it carried out last.

    A `CreditResult` is a refusal: nothing changes but the attempt fields of the status block.
    """
    if not signed.is_from(key, drn=drn):
        return CreditResult.MAC_ERROR
    last_seq = last.order.seq if last else 0
    if last is not None and signed.order.seq == last_seq:
        return Verdict.REPEAT_ANSWER if signed == last else CreditResult.SEQUENCE_REUSED
    if signed.order.seq != last_seq + 1:
        return CreditResult.SEQUENCE_GAP
    return _judge_content(signed.order) or Verdict.CARRY_OUT


def _judge_content(order: CreditOrder) -> CreditResult | None:
    match order.operation:
        case CreditOperation.ADD_CREDIT:
            is_in_range = order.amount > 0 and order.argument == 0
        case CreditOperation.CLEAR_CREDIT:
            is_in_range = order.amount == 0 and order.argument == 0
        case CreditOperation.SET_POWER_LIMIT:
            is_in_range = order.amount == 0 and order.argument > 0
        case _:
            return CreditResult.OPERATION_UNKNOWN
    return None if is_in_range else CreditResult.RANGE_ERROR


def _compute_mac(key: SiteKey, drn: str, content: bytes) -> bytes:
    bound = _DOMAIN + drn.encode("ascii") + b"\0" + content
    return hmac.digest(key.material, bound, hashlib.sha256)[:MAC_SIZE_BYTES]
