import dataclasses
from functools import partial

import pytest

from vending.sts.bits import Bits16
from vending.sts.crc import compute_crc_arc
from vending.sts.errors import ModuleFrameError, ModuleRefusedError
from vending.sts.keys import SGC, TI, EncryptionAlgorithm, KeyDerivation, KeyType
from vending.sts.module_messages import (
    ANSWERS_BY_LETTERS,
    REQUESTS_BY_HEADER,
    Answer,
    CreditTokenRequest,
    IdentificationAnswer,
    IdentificationRequest,
    KeyAttributesAnswer,
    KeyAttributesRequest,
    KeyChangeAnswer,
    KeyChangeRequest,
    ManagementTokenRequest,
    ModuleStatus,
    Request,
    TokenAnswer,
    VerifyAnswer,
    VerifyRequest,
)
from vending.sts.pan import MeterPAN
from vending.sts.security_module import (
    LINE_SIZE_MAX_BYTES,
    LineBuffer,
    decode_answer,
    decode_request,
    encode_answer,
    encode_refusal,
    encode_request,
)
from vending.sts.tcdu import TokenCarrierType, TokenDigits
from vending.sts.tid import BaseDate, TokenIdentifier

PAN = MeterPAN("600727000000000009")
TOKEN = TokenDigits("70630503470028726114")
CREDIT = CreditTokenRequest(
    register=3,
    pan=PAN,
    ti=TI("01"),
    ea=EncryptionAlgorithm.STA,
    tct=TokenCarrierType.NUMERIC,
    subclass=0,
    amount=Bits16(1),
    tid=TokenIdentifier(85740),
)
MANAGEMENT = ManagementTokenRequest(
    register=3,
    pan=PAN,
    ti=TI("01"),
    ea=EncryptionAlgorithm.STA,
    tct=TokenCarrierType.NUMERIC,
    subclass=1,
    value=Bits16(0xFFFF),
    tid=TokenIdentifier(0),
)
KEY_CHANGE = KeyChangeRequest(
    old_register=3,
    new_register=4,
    pan=PAN,
    old_ti=TI("01"),
    ea=EncryptionAlgorithm.STA,
    tct=TokenCarrierType.NUMERIC,
    new_ti=TI("00"),
    section_count=2,
)
VERIFY = VerifyRequest(
    register=3,
    pan=PAN,
    ti=TI("01"),
    ea=EncryptionAlgorithm.STA,
    tct=TokenCarrierType.NUMERIC,
    token=TOKEN,
)
ATTRIBUTES = KeyAttributesAnswer(
    sgc=SGC("000457"),
    kt=KeyType.DUTK,
    krn=1,
    ken=255,
    base_date=BaseDate.Y2014,
    dkga=KeyDerivation.DKGA04,
)
HEX = "3D431F4B0860E9F62"
DIALOGUES: list[tuple[Request, str, Answer, str]] = [
    (
        CREDIT,
        "SM?VCN3~P600727000000000009~N1~N7~N2~N0~H0001~H014EEC~",
        TokenAnswer(tokens=(TOKEN,)),
        f"SM!VC00P{HEX}~P{TOKEN}~",
    ),
    (
        MANAGEMENT,
        "SM?VMN3~P600727000000000009~N1~N7~N2~N1~HFFFF~H00~",
        TokenAnswer(tokens=(TOKEN,)),
        f"SM!VM00P{HEX}~P{TOKEN}~",
    ),
    (
        KEY_CHANGE,
        "SM?VKN3~N4~P600727000000000009~N1~N7~N2~N0~N2~",
        KeyChangeAnswer(rollover=True, section_count=2, tokens=(TOKEN, TOKEN)),
        f"SM!VK00N1~N2~P{HEX}{HEX}~P{TOKEN}{TOKEN}~",
    ),
    (
        VERIFY,
        f"SM?VTN3~P600727000000000009~N1~N7~N2~P{HEX}~",
        VerifyAnswer(token_class=0, subclass=0, data=0x5014EEC0001),
        "SM!VT00N0~N0~H05014EEC0001~",
    ),
    (
        IdentificationRequest(),
        "SM?DI",
        IdentificationAnswer(identification="Simulated module 1"),
        "SM!DI00PSimulated module 1~",
    ),
    (
        KeyAttributesRequest(register=3),
        "SM?GAN3~",
        ATTRIBUTES,
        "SM!GA00P000457~N2~N1~N255~N2014~N4~",
    ),
]
IDS = [request[4:6] for _, request, _, _ in DIALOGUES]


def sealed(text: str) -> bytes:
    octets = text.encode("latin-1")
    return octets + f"{compute_crc_arc(octets):04X}\r".encode()


def test_every_command_has_a_request_an_answer_and_a_dialogue() -> None:
    letters = {header[3:] for header in REQUESTS_BY_HEADER}
    assert letters == set(ANSWERS_BY_LETTERS) == {request[3:5] for _, request, _, _ in DIALOGUES}


@pytest.mark.parametrize(("request_", "asked", "answer", "answered"), DIALOGUES, ids=IDS)
def test_dialogue_is_written_and_read_by_both_sides(
    request_: Request, asked: str, answer: Answer, answered: str
) -> None:
    assert encode_request(request_) == sealed(asked)
    assert decode_request(sealed(asked)) == request_
    assert encode_answer(answer, request_) == sealed(answered)
    assert decode_answer(sealed(answered), request_) == answer


def test_line_may_come_without_its_cr() -> None:
    assert decode_request(encode_request(CREDIT).rstrip()) == CREDIT


@pytest.mark.parametrize(("request_", "asked", "answer", "answered"), DIALOGUES, ids=IDS)
def test_every_damaged_byte_is_noticed(
    request_: Request, asked: str, answer: Answer, answered: str
) -> None:
    assert encode_answer(answer, request_) == sealed(answered)
    for decode, line in (
        (decode_request, sealed(asked)),
        (partial(decode_answer, request=request_), sealed(answered)),
    ):
        for place in range(len(line) - 1):
            damaged = bytearray(line)
            damaged[place] ^= 0x01
            with pytest.raises(ModuleFrameError) as refusal:
                decode(bytes(damaged))
            assert refusal.value.status == "20"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("SM?XXN3~", "21"),
        ("SM!VCN3~", "21"),
        ("SM?GA", "23"),
        ("SM?GAN3~N4~", "23"),
        ("SM?GAN3", "23"),
        ("SM?GAP3~", "23"),
        ("SM?GAN03~", "23"),
        ("SM?GAN-3~", "23"),
        ("SM?GA~", "23"),
        ("SM?VCN3~P600727000000000009~N1~N7~N2~N0~H1~H014EEC~", "23"),
        ("SM?VCN3~P600727000000000009~N1~N7~N2~N0~H000a~H014EEC~", "23"),
        ("SM?VCN3~P600727000000000009~N1~N7~N2~N0~H0001~H14EEC~", "23"),
        ("SM?VCN3~P600727000000000009~N1~N7~N2~N0~H0001~H0000EC~", "23"),
        ("SM?VCN3~P600727000000000008~N1~N7~N2~N0~H0001~H014EEC~", "25"),
        ("SM?VCN3~P600727000000000009~N100~N7~N2~N0~H0001~H014EEC~", "24"),
        ("SM?VCN3~P600727000000000009~N1~N9~N2~N0~H0001~H014EEC~", "24"),
        ("SM?VCN3~P600727000000000009~N1~N7~N3~N0~H0001~H014EEC~", "24"),
        ("SM?VCN3~P600727000000000009~N1~N7~N2~N4~H0001~H014EEC~", "24"),
        ("SM?VKN3~N4~P600727000000000009~N1~N7~N2~N0~N3~", "24"),
        ("SM?VKN3~N4~P600727000000000009~N1~N7~N2~N0~N4~", "24"),
        ("SM?DI\xe9", "23"),
    ],
)
def test_request_that_means_nothing_is_refused_with_its_status(text: str, status: str) -> None:
    with pytest.raises(ModuleFrameError) as refusal:
        decode_request(sealed(text))
    assert refusal.value.status == status


@pytest.mark.parametrize("line", [b"", b"\r", b"1", b"1234\r"])
def test_empty_line_is_refused(line: bytes) -> None:
    with pytest.raises(ModuleFrameError, match="it is empty"):
        decode_request(line)


@pytest.mark.parametrize("tid", [0, 0xFF, 0x100, 0xFFFF, 0x10000, 0xFFFFFF])
def test_tid_travels_in_the_shortest_even_count_of_digits(tid: int) -> None:
    request = dataclasses.replace(CREDIT, tid=TokenIdentifier(tid))
    text = encode_request(request)[:-5].decode().split("~")[-2]
    assert int(text[1:], 16) == tid
    assert len(text) == 1 + 2 * max(1, (tid.bit_length() + 7) // 8)
    assert decode_request(encode_request(request)) == request


def test_currency_through_a_module_is_refused_by_name() -> None:
    with pytest.raises(Exception, match="CURRENCY_BY_MODULE"):
        dataclasses.replace(CREDIT, subclass=4)


def test_set_of_three_through_a_module_is_refused_by_name() -> None:
    with pytest.raises(Exception, match="THREE_SECTION_SET"):
        dataclasses.replace(KEY_CHANGE, section_count=3)


def test_answer_to_another_command_is_refused() -> None:
    with pytest.raises(ModuleFrameError, match="answers no VC"):
        decode_answer(encode_answer(TokenAnswer(tokens=(TOKEN,)), MANAGEMENT), CREDIT)


def test_answer_whose_two_forms_of_the_token_differ_is_refused() -> None:
    with pytest.raises(ModuleFrameError, match="its two tokens differ"):
        decode_answer(sealed(f"SM!VC00P{HEX}~P{TOKEN[:-1]}5~"), CREDIT)


@pytest.mark.parametrize("status", ModuleStatus)
def test_refusal_of_a_module_carries_status_and_meaning(status: ModuleStatus) -> None:
    with pytest.raises(ModuleRefusedError, match=status.meaning) as refusal:
        decode_answer(encode_refusal(status.code), CREDIT)
    assert refusal.value.status == status.code


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("SM!VC41", "status 41: key expired"),
        ("SM!VCEEN7~", "status EE: extended error N7~"),
        ("SM!VCEE", "status EE: extended error$"),
        ("GL!ER77", "does not list"),
        ("GL!ER00", "does not list"),
        ("GL!ER", "does not list"),
    ],
)
def test_other_refusals_are_told_as_far_as_they_are_known(text: str, meaning: str) -> None:
    with pytest.raises(ModuleRefusedError, match=meaning):
        decode_answer(sealed(text), CREDIT)


def test_buffer_cuts_lines_fed_one_byte_at_a_time() -> None:
    buffer = LineBuffer()
    stream = encode_request(CREDIT) + encode_request(VERIFY)
    lines = [line for at in range(len(stream)) for line in buffer.receive(stream[at : at + 1])]
    assert [decode_request(line) for line in lines] == [CREDIT, VERIFY]


def test_buffer_cuts_lines_fed_at_once_and_keeps_the_rest() -> None:
    buffer = LineBuffer()
    stream = encode_request(CREDIT) + encode_request(VERIFY)
    assert [decode_request(line) for line in buffer.receive(stream[:-3])] == [CREDIT]
    assert [decode_request(line) for line in buffer.receive(stream[-3:])] == [VERIFY]
    assert buffer.receive(b"") == []


def test_buffer_refuses_a_line_without_end_and_starts_afresh() -> None:
    buffer = LineBuffer()
    buffer.receive(b"x" * LINE_SIZE_MAX_BYTES)
    with pytest.raises(ModuleFrameError, match="longer than 512 bytes"):
        buffer.receive(b"x")
    assert buffer.receive(encode_request(CREDIT)) == [encode_request(CREDIT)[:-1]]
