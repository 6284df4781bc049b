"""The simulated security module, asked line by line."""

import pytest

from simulators.faults import Fault, Transmission
from simulators.security_module import AnswerFrom, HoldBack, RefuseWith, SimulatedSecurityModule
from tests.support.attached_module import REGISTERS, simulated_module
from tests.support.vending_keys import (
    DCTK_1993,
    DDTK_2014,
    DUTK_1993,
    DUTK_2014,
    EXPIRED,
)
from vending.keystore.components import KeyImport
from vending.sts.bits import Bits16
from vending.sts.errors import ModuleRefusedError
from vending.sts.keys import TI, EncryptionAlgorithm
from vending.sts.module_messages import (
    Answer,
    CreditTokenRequest,
    IdentificationRequest,
    KeyAttributesAnswer,
    KeyAttributesRequest,
    KeyChangeRequest,
    ManagementTokenRequest,
    ModuleStatus,
    Request,
    TokenAnswer,
    VerifyAnswer,
    VerifyRequest,
)
from vending.sts.pan import MeterPAN
from vending.sts.security_module import decode_answer, encode_request
from vending.sts.tcdu import TokenCarrierType, TokenDigits
from vending.sts.tid import TokenIdentifier

PAN = MeterPAN("600727000000000009")
STA, MISTY1 = EncryptionAlgorithm.STA, EncryptionAlgorithm.MISTY1
TOKEN = TokenDigits("70630503470028726114")


def number_of(brought: KeyImport) -> int:
    return next(number for number, held in REGISTERS.items() if held is brought)


NUMBER = number_of(DUTK_2014)
CREDIT = CreditTokenRequest(
    register=NUMBER,
    pan=PAN,
    ti=TI("01"),
    ea=STA,
    tct=TokenCarrierType.NUMERIC,
    subclass=0,
    amount=Bits16(1),
    tid=TokenIdentifier(85_740),
)


def credit(**changes: object) -> CreditTokenRequest:
    values = {name: getattr(CREDIT, name) for name in CREDIT.__slots__} | changes
    return CreditTokenRequest(**values)


@pytest.fixture
def module() -> SimulatedSecurityModule:
    return simulated_module()


def ask(module: SimulatedSecurityModule, request: Request) -> Answer:
    (sent,) = module.receive(encode_request(request))
    return decode_answer(sent.payload, request)


def refuse(module: SimulatedSecurityModule, request: Request) -> str:
    with pytest.raises(ModuleRefusedError) as refused:
        ask(module, request)
    return refused.value.status


def test_credit_token_is_the_published_one(module: SimulatedSecurityModule) -> None:
    assert ask(module, CREDIT) == TokenAnswer(tokens=(TOKEN,))


def test_line_may_come_byte_by_byte(module: SimulatedSecurityModule) -> None:
    *first, last = [
        module.receive(bytes([octet])) for octet in encode_request(IdentificationRequest())
    ]
    assert not any(first)
    assert len(last) == 1


def test_attributes_of_a_register_are_told_and_no_key(module: SimulatedSecurityModule) -> None:
    answer = ask(module, KeyAttributesRequest(register=NUMBER))
    assert isinstance(answer, KeyAttributesAnswer)
    assert (str(answer.sgc), answer.krn, answer.ken) == ("201457", 1, 255)


def test_verified_key_change_section_shows_no_part_of_the_key(
    module: SimulatedSecurityModule,
) -> None:
    first = TokenDigits("06510894141453018386")
    question = VerifyRequest(
        register=NUMBER, pan=PAN, ti=TI("01"), ea=STA, tct=TokenCarrierType.NUMERIC, token=first
    )
    answer = ask(module, question)
    assert isinstance(answer, VerifyAnswer)
    assert (answer.token_class, answer.subclass) == (2, 3)
    assert answer.data & 0xFFFFFFFF == 0
    assert answer.data >> 32


def sealed(covered: bytes) -> bytes:
    crc = 0
    for octet in covered:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return covered + f"{crc:04X}\r".encode()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"SM?VC3~0000\r", "20"),
        (sealed(b"SM?XX"), "21"),
        (b"\r", "22"),
        (sealed(b"SM?GA"), "23"),
        (encode_request(CREDIT)[:600] + b"x" * 600, "23"),
    ],
    ids=["checksum", "header", "empty", "payload", "too long"],
)
def test_line_that_is_no_request_has_its_status(
    module: SimulatedSecurityModule, line: bytes, status: str
) -> None:
    answers = module.receive(line)
    assert [decode_status(sent) for sent in answers][-1] == status


def decode_status(sent: Transmission) -> str:
    assert sent.payload.startswith(b"GL!ER")
    return sent.payload[5:7].decode()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (credit(register=99), ModuleStatus.REGISTER_NOT_FOUND),
        (credit(register=number_of(DDTK_2014)), ModuleStatus.FIELD_VALUE),
        (credit(register=number_of(DUTK_1993), ea=MISTY1), ModuleStatus.GENERATION_FAILED),
        (
            credit(register=number_of(EXPIRED), tid=TokenIdentifier(11 << 16)),
            ModuleStatus.KEY_EXPIRED,
        ),
        (credit(subclass=9), ModuleStatus.FIELD_VALUE),
        (
            ManagementTokenRequest(
                register=NUMBER,
                pan=PAN,
                ti=TI("01"),
                ea=STA,
                tct=TokenCarrierType.NUMERIC,
                subclass=3,
                value=Bits16(0),
                tid=CREDIT.tid,
            ),
            ModuleStatus.FIELD_VALUE,
        ),
        (
            KeyChangeRequest(
                old_register=number_of(DUTK_1993),
                new_register=number_of(DCTK_1993),
                pan=PAN,
                old_ti=TI("01"),
                ea=STA,
                tct=TokenCarrierType.NUMERIC,
                new_ti=TI("01"),
                section_count=2,
            ),
            ModuleStatus.KEY_CHANGE_RULE,
        ),
        (
            VerifyRequest(
                register=NUMBER,
                pan=PAN,
                ti=TI("02"),
                ea=STA,
                tct=TokenCarrierType.NUMERIC,
                token=TOKEN,
            ),
            ModuleStatus.FIELD_VALUE,
        ),
    ],
    ids=str,
)
def test_request_that_cannot_be_served_has_its_status(
    module: SimulatedSecurityModule, request_: Request, status: ModuleStatus
) -> None:
    assert refuse(module, request_) == status.code


def test_meter_number_with_a_wrong_check_digit_is_status_25(
    module: SimulatedSecurityModule,
) -> None:
    wrong = encode_request(CREDIT)[:-5].replace(PAN.digits.encode(), b"600727000000000008")
    assert decode_status(module.receive(sealed(wrong))[0]) == ModuleStatus.LUHN.code


# --- states -------------------------------------------------------------------------------------
def test_states_of_the_module_have_their_status(module: SimulatedSecurityModule) -> None:
    state = module.state
    state.is_inhibited = True
    assert refuse(module, CREDIT) == ModuleStatus.VENDING_INHIBITED.code
    state.is_inhibited, state.has_clock = False, False
    assert refuse(module, CREDIT) == ModuleStatus.CLOCK_NOT_SET.code
    state.has_clock, state.has_kek = True, False
    assert refuse(module, CREDIT) == ModuleStatus.KEK_NOT_FOUND.code
    state.has_kek, state.allowed = True, frozenset({"DI"})
    assert refuse(module, CREDIT) == ModuleStatus.PERMISSION.code


@pytest.mark.parametrize("fault", [ModuleStatus.KEY_LOAD, ModuleStatus.KEY_LOAD_AUTHENTICATION])
def test_key_that_did_not_load_says_why(
    module: SimulatedSecurityModule, fault: ModuleStatus
) -> None:
    module.state.registers[NUMBER].load_fault = fault
    assert refuse(module, CREDIT) == fault.code


def test_dead_module_says_nothing_and_hears_nothing(module: SimulatedSecurityModule) -> None:
    module.state.is_dead = True
    assert module.receive(encode_request(CREDIT)) == ()
    assert module.requests == []


# --- faults -------------------------------------------------------------------------------------
def test_planned_faults_take_a_request_each(module: SimulatedSecurityModule) -> None:
    module.plan(Fault.DROP, Fault.LOST_ANSWER, RefuseWith("EE"), Fault.DUPLICATE, None)
    line = encode_request(CREDIT)
    counts = [len(module.receive(line)) for _ in range(5)]
    assert counts == [0, 0, 1, 2, 1]
    assert len(module.requests) == 3, "a dropped or refused one was not carried out"


def test_answer_from_another_register_reads_as_nothing_under_the_right_one(
    module: SimulatedSecurityModule,
) -> None:
    module.plan(AnswerFrom(number_of(EXPIRED)))
    assert ask(module, CREDIT) != TokenAnswer(tokens=(TOKEN,))


def test_held_answer_goes_before_the_next_of_its_kind(module: SimulatedSecurityModule) -> None:
    module.plan(HoldBack())
    assert module.receive(encode_request(CREDIT)) == ()
    assert len(module.receive(encode_request(IdentificationRequest()))) == 1
    first, second = module.receive(encode_request(credit(amount=Bits16(2))))
    assert decode_answer(first.payload, CREDIT) == TokenAnswer(tokens=(TOKEN,))
    assert second.payload != first.payload


def test_half_a_line_is_forgotten_when_its_sender_goes_away(
    module: SimulatedSecurityModule,
) -> None:
    module.receive(encode_request(CREDIT)[:20])
    module.reset_line()
    assert ask(module, CREDIT) == TokenAnswer(tokens=(TOKEN,))
