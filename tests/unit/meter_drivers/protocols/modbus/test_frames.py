import pytest

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.modbus.frames import (
    LEADING_NOISE_MAX,
    STALE_FRAMES_MAX,
    Answer,
    ExceptionAnswer,
    Framing,
    ReadRequest,
    RegistersRead,
    RegistersWritten,
    Request,
    RTUFraming,
    TCPFraming,
    WriteRequest,
    next_transaction,
)
from meter_drivers.registers import RegisterTable, WriteRule
from tests.support.modbus_meter import rtu, tcp

READ = ReadRequest(1, RegisterTable.HOLDING, 0x006B, 3)
READ_INPUT = ReadRequest(4, RegisterTable.INPUT, 0x0008, 1)
WRITE_ONE = WriteRequest(17, 0x0001, (3,), WriteRule.FC06)
WRITE = WriteRequest(17, 0x0001, (0x000A, 0x0102), WriteRule.FC16)

# Requests and answers of the examples in Modbus Application Protocol V1.1b3, 6.3, 6.4, 6.6 and
# 6.12, put into frames with the CRC of Modbus over Serial Line V1.02, 6.2.2.
EXAMPLES = [
    (READ, "03 006B 0003", "03 06 022B 0000 0064", RegistersRead((555, 0, 100))),
    (READ_INPUT, "04 0008 0001", "04 02 000A", RegistersRead((10,))),
    (WRITE_ONE, "06 0001 0003", "06 0001 0003", RegistersWritten()),
    (WRITE, "10 0001 0002 04 000A 0102", "10 0001 0002", RegistersWritten()),
    (READ, "03 006B 0003", "83 02", ExceptionAnswer(2)),
    (WRITE, "10 0001 0002 04 000A 0102", "90 0B", ExceptionAnswer(0x0B)),
]
IDS = ["fc03", "fc04", "fc06", "fc16", "fc03 exception", "fc16 exception"]
# Frames printed in public protocol guides, CRC included.
GOLDEN_RTU = [
    (ReadRequest(1, RegisterTable.HOLDING, 0, 10), "01 03 00 00 00 0A C5 CD"),
    (ReadRequest(17, RegisterTable.HOLDING, 0x6B, 3), "11 03 00 6B 00 03 76 87"),
    (WRITE_ONE, "11 06 00 01 00 03 9A 9B"),
    (WRITE, "11 10 00 01 00 02 04 00 0A 01 02 C6 F0"),
]


def receive(framing: Framing, request: Request, data: bytes, *, transaction: int = 7) -> Answer:
    receiver = framing.receiver(request, transaction=transaction)
    receiver.receive_data(data)
    answer = receiver.next_answer()
    assert answer is not None
    return answer


@pytest.mark.parametrize(("request_", "printed"), GOLDEN_RTU)
def test_rtu_request_is_the_printed_frame(request_: Request, printed: str) -> None:
    assert RTUFraming().encode(request_, transaction=1) == bytes.fromhex(printed)


@pytest.mark.parametrize(("request_", "pdu", "answer", "expected"), EXAMPLES, ids=IDS)
def test_rtu_carries_request_and_answer(
    request_: Request, pdu: str, answer: str, expected: Answer
) -> None:
    framing = RTUFraming()
    assert framing.encode(request_, transaction=7) == rtu(request_.unit, bytes.fromhex(pdu))
    assert receive(framing, request_, rtu(request_.unit, bytes.fromhex(answer))) == expected


@pytest.mark.parametrize(("request_", "pdu", "answer", "expected"), EXAMPLES, ids=IDS)
def test_tcp_carries_request_and_answer(
    request_: Request, pdu: str, answer: str, expected: Answer
) -> None:
    framing = TCPFraming()
    frame = tcp(7, request_.unit, bytes.fromhex(pdu))
    assert framing.encode(request_, transaction=7) == frame
    assert receive(framing, request_, tcp(7, request_.unit, bytes.fromhex(answer))) == expected


@pytest.mark.parametrize(("request_", "_pdu", "answer", "expected"), EXAMPLES, ids=IDS)
@pytest.mark.parametrize("is_rtu", [True, False], ids=["rtu", "tcp"])
def test_answer_is_found_byte_by_byte(
    request_: Request, _pdu: str, answer: str, expected: Answer, *, is_rtu: bool
) -> None:
    framing: Framing = RTUFraming() if is_rtu else TCPFraming()
    pdu = bytes.fromhex(answer)
    frame = rtu(request_.unit, pdu) if is_rtu else tcp(7, request_.unit, pdu)
    receiver = framing.receiver(request_, transaction=7)
    for byte in frame[:-1]:
        receiver.receive_data(bytes([byte]))
        assert receiver.next_answer() is None
    receiver.receive_data(frame[-1:])
    assert receiver.next_answer() == expected


@pytest.mark.parametrize(("request_", "_pdu", "answer", "expected"), EXAMPLES, ids=IDS)
def test_rtu_answer_survives_noise_around_it(
    request_: Request, _pdu: str, answer: str, expected: Answer
) -> None:
    frame = rtu(request_.unit, bytes.fromhex(answer))
    assert receive(RTUFraming(), request_, b"\xff\x00\xff" + frame + b"\x55\xaa") == expected


def test_rtu_answer_after_too_much_noise_is_refused() -> None:
    frame = b"\x00" * (LEADING_NOISE_MAX + 1) + rtu(1, bytes.fromhex("03 06 022B 0000 0064"))
    with pytest.raises(RemoteProtocolError, match="unit 0 answers"):
        receive(RTUFraming(), READ, frame)


@pytest.mark.parametrize(("request_", "_pdu", "answer", "_expected"), EXAMPLES, ids=IDS)
def test_rtu_answer_with_any_bit_flipped_is_never_taken(
    request_: Request, _pdu: str, answer: str, _expected: Answer
) -> None:
    frame = rtu(request_.unit, bytes.fromhex(answer))
    for index in range(8 * len(frame)):
        flipped = bytearray(frame)
        flipped[index // 8] ^= 1 << index % 8
        receiver = RTUFraming().receiver(request_, transaction=7)
        receiver.receive_data(bytes(flipped))
        try:
            taken = receiver.next_answer()
        except RemoteProtocolError:
            continue
        assert taken is None


@pytest.mark.parametrize(
    ("request_", "unit", "pdu", "problem"),
    [
        (READ, 2, "03 06 022B 0000 0064", "unit 2 answers for unit 1"),
        (READ, 1, "04 06 022B 0000 0064", "function 0x04, not 0x03"),
        (READ, 1, "03 04 022B 0000", "brings 4 bytes, not 6"),
        (READ, 1, "03 08 022B 0000 0064 0000", "brings 8 bytes, not 6"),
        (READ, 1, "84 02 00", "function 0x84"),
        (WRITE, 17, "10 0002 0002", "confirms another write"),
        (WRITE, 17, "10 0001 0001", "confirms another write"),
        (WRITE_ONE, 17, "06 0001 0004", "confirms another write"),
    ],
)
@pytest.mark.parametrize("is_rtu", [True, False], ids=["rtu", "tcp"])
def test_answer_to_another_request_is_refused(
    request_: Request, unit: int, pdu: str, problem: str, *, is_rtu: bool
) -> None:
    framing: Framing = RTUFraming() if is_rtu else TCPFraming()
    data = bytes.fromhex(pdu)
    frame = rtu(unit, data) if is_rtu else tcp(7, unit, data)
    with pytest.raises(RemoteProtocolError, match=problem):
        receive(framing, request_, frame)


def test_tcp_passes_over_late_answers() -> None:
    late = tcp(6, 1, bytes.fromhex("03 06 0001 0001 0001"))
    frame = tcp(7, 1, bytes.fromhex("03 06 022B 0000 0064"))
    assert receive(TCPFraming(), READ, late + late + frame) == RegistersRead((555, 0, 100))


def test_tcp_gives_up_on_a_stream_of_late_answers() -> None:
    late = tcp(6, 1, bytes.fromhex("03 06 0001 0001 0001"))
    with pytest.raises(RemoteProtocolError, match="other transactions"):
        receive(TCPFraming(), READ, late * (STALE_FRAMES_MAX + 1))


@pytest.mark.parametrize(
    "head",
    ["0007 0001 0009", "0007 0000 0002", "0007 0000 00FF"],
    ids=["protocol", "short", "long"],
)
def test_tcp_head_that_is_none_is_refused(head: str) -> None:
    with pytest.raises(RemoteProtocolError, match="head of the answer"):
        receive(TCPFraming(), READ, bytes.fromhex(head) + bytes(16))


@pytest.mark.parametrize(
    "pdu",
    ["03 06 022B 0000", "03 06 022B 0000 0064 00", "10 0001", "10 0001 0002 00", "83 02 00"],
)
def test_tcp_answer_of_another_length_than_it_says_is_refused(pdu: str) -> None:
    request = WRITE if pdu.startswith("10") else READ
    with pytest.raises(RemoteProtocolError, match="bytes long, not"):
        receive(TCPFraming(), request, tcp(7, request.unit, bytes.fromhex(pdu)))


@pytest.mark.parametrize("unit", [0, 248, 254, 256, -1])
def test_unit_that_is_no_meter_is_refused_so_nothing_is_broadcast(unit: int) -> None:
    with pytest.raises(LocalProtocolError, match="no meter's address"):
        ReadRequest(unit, RegisterTable.HOLDING, 0, 1)
    with pytest.raises(LocalProtocolError, match="no meter's address"):
        WriteRequest(unit, 0, (1,), WriteRule.FC16)


@pytest.mark.parametrize(("address", "count"), [(0, 0), (0, 126), (0xFFFF, 2), (-1, 1)])
def test_span_that_no_frame_carries_is_refused(address: int, count: int) -> None:
    with pytest.raises(LocalProtocolError, match="do not fit one frame"):
        ReadRequest(1, RegisterTable.HOLDING, address, count)


@pytest.mark.parametrize(
    ("words", "rule"),
    [((), WriteRule.FC16), ((0,) * 124, WriteRule.FC16), ((0, 0), WriteRule.FC06)],
)
def test_write_that_no_frame_carries_is_refused(words: tuple[int, ...], rule: WriteRule) -> None:
    with pytest.raises(LocalProtocolError, match="do not fit one frame"):
        WriteRequest(1, 0, words, rule)


@pytest.mark.parametrize("word", [-1, 0x10000])
def test_word_of_more_than_16_bits_is_refused(word: int) -> None:
    with pytest.raises(LocalProtocolError, match="16 bits"):
        WriteRequest(1, 0, (word,), WriteRule.FC16)


def test_transactions_run_around_and_leave_out_zero() -> None:
    assert next_transaction(0) == 1
    assert next_transaction(0xFFFE) == 0xFFFF
    assert next_transaction(0xFFFF) == 1
