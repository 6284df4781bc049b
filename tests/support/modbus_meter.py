"""A Modbus meter on paper: registers, and what one is asked to do with them.

It frames by itself, with a CRC computed bit by bit, so that a fault of the drivers' framing
cannot hide in it. The full simulated meter is another thing; this one does what a test tells it.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from meter_drivers.profiles.modbus_part import Block, ModbusProfile
from meter_drivers.protocols.modbus.credit import (
    CreditResult,
    SignedCreditOrder,
    SiteKey,
    Verdict,
    judge_credit_order,
)
from meter_drivers.protocols.modbus.identity import IdentityBlock
from meter_drivers.protocols.modbus.status import (
    AlarmBit,
    RelayCode,
    StatusBlock,
    TamperBit,
    TripCause,
)
from meter_drivers.protocols.modbus.token_entry import (
    TokenOutcome,
    TokenResultBlock,
    compute_entry_digest,
    unpack_token,
)

ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3


def compute_crc(data: bytes) -> bytes:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return struct.pack("<H", crc)


def rtu(unit: int, pdu: bytes) -> bytes:
    frame = bytes([unit]) + pdu
    return frame + compute_crc(frame)


def tcp(transaction: int, unit: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


@dataclass
class PaperMeter:
    """Registers by function code; `on_write` may answer with an exception code."""

    unit: int = 1
    holding: dict[int, int] = field(default_factory=dict)
    inputs: dict[int, int] = field(default_factory=dict)
    on_write: Callable[[int, tuple[int, ...]], int | None] | None = None
    pdus: list[bytes] = field(default_factory=list)

    @property
    def writes(self) -> list[bytes]:
        return [pdu for pdu in self.pdus if pdu[0] in {0x06, 0x10}]

    def set(self, address: int, words: tuple[int, ...], *, inputs: bool = False) -> None:
        table = self.inputs if inputs else self.holding
        table.update({address + index: word for index, word in enumerate(words)})

    def answer_pdu(self, pdu: bytes) -> bytes:
        self.pdus.append(pdu)
        match pdu[0]:
            case 0x03:
                return self._read(pdu, self.holding)
            case 0x04:
                return self._read(pdu, self.inputs)
            case 0x06:
                address, word = struct.unpack(">HH", pdu[1:5])
                return self._write(pdu, address, (word,), pdu)
            case 0x10:
                address, count, _ = struct.unpack(">HHB", pdu[1:6])
                words = struct.unpack(f">{count}H", pdu[6:])
                return self._write(pdu, address, words, pdu[:5])
            case function:
                return bytes([function | 0x80, 1])

    def _read(self, pdu: bytes, table: dict[int, int]) -> bytes:
        address, count = struct.unpack(">HH", pdu[1:5])
        wanted = range(address, address + count)
        if table.keys().isdisjoint(wanted):
            return bytes([pdu[0] | 0x80, ILLEGAL_ADDRESS])
        words = [table.get(each, 0) for each in wanted]
        return bytes([pdu[0], 2 * count]) + struct.pack(f">{count}H", *words)

    def _write(self, pdu: bytes, address: int, words: tuple[int, ...], answer: bytes) -> bytes:
        code = self.on_write(address, words) if self.on_write else None
        if code is not None:
            return bytes([pdu[0] | 0x80, code])
        self.set(address, words)
        return answer


class PrepayMeter(PaperMeter):
    """The open prepay profile on paper: what it makes of each token is told beforehand."""

    def __init__(self, profile: ModbusProfile, *, site_key: SiteKey, unit: int = 1) -> None:
        super().__init__(unit=unit)
        self.profile = profile
        self.site_key = site_key
        self.drn = "12345678903"
        self.outcomes: dict[str, TokenOutcome] = {}
        self.credit_room = 2**31 - 1
        self.relay_follows = True
        self.last_order: SignedCreditOrder | None = None
        self.status = StatusBlock(
            last_seq=0,
            last_result=0,
            attempt_seq=0,
            attempt_result=0,
            balance=1234,
            cumulative_credit=5000,
            purchase_count=2,
            relay_command=RelayCode.CLOSED,
            relay_actual=RelayCode.CLOSED,
            trip_cause=TripCause.NONE,
            alarm_bits=AlarmBit.LOW_CREDIT,
            tamper_bits=TamperBit(0),
            event_counter=7,
        )
        self.token_result = TokenResultBlock(0, TokenOutcome.NONE, None, 0)
        self.on_write = self._take
        identity = IdentityBlock(self.drn, "600727" + self.drn + "4", "open prepay", "1.0")
        self.set(profile.part.blocks[Block.IDENTITY], identity.to_registers())
        self.show()

    def show(self) -> None:
        blocks = self.profile.part.blocks
        self.set(blocks[Block.STATUS], self.status.to_registers())
        self.set(blocks[Block.TOKEN_RESULT], self.token_result.to_registers())

    def _take(self, address: int, words: tuple[int, ...]) -> int | None:
        blocks = self.profile.part.blocks
        relay = self.profile.part.relay
        assert relay is not None
        if address == blocks[Block.TOKEN_ENTRY]:
            code = self._take_token(words)
        elif address == blocks[Block.CREDIT]:
            code = self._take_credit(SignedCreditOrder.from_registers(words))
        elif address == relay.command:
            code = self._take_relay(words[0])
        else:
            code = ILLEGAL_ADDRESS
        self.show()
        return code

    def _take_token(self, words: tuple[int, ...]) -> int | None:
        digits = unpack_token(words)
        if digits is None:
            return ILLEGAL_VALUE
        outcome = self.outcomes.get(digits, TokenOutcome.CRC_ERROR)
        if outcome is TokenOutcome.ACCEPT:
            self.outcomes[digits] = TokenOutcome.USED_ERROR
        counter = self.token_result.entry_counter + 1
        self.token_result = TokenResultBlock(counter, outcome, 777, compute_entry_digest(digits))
        return None

    def _take_credit(self, signed: SignedCreditOrder) -> int | None:
        verdict = judge_credit_order(signed, key=self.site_key, drn=self.drn, last=self.last_order)
        order = signed.order
        if verdict is Verdict.CARRY_OUT and self.status.balance + order.amount > self.credit_room:
            verdict = CreditResult.OVERFLOW_ERROR
        if isinstance(verdict, CreditResult):
            self.status = replace(self.status, attempt_seq=order.seq, attempt_result=int(verdict))
            return ILLEGAL_VALUE
        if verdict is Verdict.CARRY_OUT:
            self.last_order = signed
            self.status = replace(
                self.status,
                last_seq=order.seq,
                last_result=int(CreditResult.DONE),
                balance=self.status.balance + order.amount,
                cumulative_credit=self.status.cumulative_credit + order.amount,
                purchase_count=self.status.purchase_count + 1,
            )
        self.status = replace(
            self.status, attempt_seq=order.seq, attempt_result=int(CreditResult.DONE)
        )
        return None

    def _take_relay(self, value: int) -> int | None:
        if value not in {0, 1}:
            return ILLEGAL_VALUE
        position = RelayCode(value)
        actual = position if self.relay_follows else self.status.relay_actual
        self.status = replace(self.status, relay_command=position, relay_actual=actual)
        return None
