r"""Requests to a security module and its answers (STS 600-8-6): one ASCII line each, 9600 8N1.

    request   SM?VC     N3~P600727000000000009~...   CRC   CR
    answer    SM!VC 00  P3D431F4B0860E9F62~P...~     CRC   CR

A header of 5 characters, in an answer a status of 2, fields, a CRC of 4 upper-case hex digits
over all before it, CR. A field is its type letter, its value and `~`. `GL!ER` with a status is
a failure that names no command.

Damage it survives, always with ModuleFrameError: a wrong CRC, an unknown or another command's
header, a field missing, left over or of another type, bytes that are not ASCII, a line without
end.

Both roles are here, so that the attached module and the simulated one run the same code.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from vending.sts.crc import compute_crc_arc
from vending.sts.errors import CheckDigitError, ModuleFrameError, ModuleRefusedError, STSError
from vending.sts.module_messages import (
    ANSWERS_BY_LETTERS,
    REQUESTS_BY_HEADER,
    REQUESTS_BY_RECORD,
    Answer,
    FieldType,
    Message,
    ModuleStatus,
    Request,
)

END_OF_LINE: Final = b"\r"
LINE_SIZE_MAX_BYTES: Final = 512
"""Ours: four key-change tokens in both forms, the longest line known, take under 200."""

SUCCESS: Final = "00"
EXTENDED_ERROR: Final = "EE"
_GENERIC_FAILURE: Final = "GL!ER"
_HEADER_SIZE: Final = 5
_STATUS_SIZE: Final = 2
_CRC_SIZE: Final = 4
_MEANINGS: Final = {status.code: status.meaning for status in ModuleStatus}


def encode_request(request: Request) -> bytes:
    """Return the line that asks a module this, CR included."""
    message = REQUESTS_BY_RECORD[type(request)]
    return _seal(f"SM?{message.letters}{_write_fields(message, request)}")


def decode_answer(line: bytes, request: Request) -> Answer:
    """Return a module's answer to a request; the line may end in its CR.

    Raises:
        ModuleFrameError: The line is damaged, or answers another command.
        ModuleRefusedError: The module said no.
    """
    text = _open(line)
    header, status = text[:_HEADER_SIZE], text[_HEADER_SIZE:][:_STATUS_SIZE]
    body = text[_HEADER_SIZE + _STATUS_SIZE :]
    letters = REQUESTS_BY_RECORD[type(request)].letters
    if header not in (_GENERIC_FAILURE, f"SM!{letters}"):
        raise ModuleFrameError(
            status=ModuleStatus.UNKNOWN_HEADER.code, problem=f"{header!r} answers no {letters}"
        )
    if header == _GENERIC_FAILURE or status != SUCCESS:
        raise ModuleRefusedError(status=status, meaning=_tell_refusal(status, body))
    answer = _read_fields(ANSWERS_BY_LETTERS[letters], body)
    assert isinstance(answer, Answer)
    return answer


def _tell_refusal(status: str, body: str) -> str:
    """Return what a status means; an extended error tells it in fields of the module's own."""
    if status == EXTENDED_ERROR:
        return f"extended error {body}".rstrip()
    return _MEANINGS.get(status, "a status that STS 600-8-6 does not list")


def decode_request(line: bytes) -> Request:
    """Return what a host asks; the line may end in its CR.

    Raises:
        ModuleFrameError: The line is damaged or unknown; the error holds the status to answer.
    """
    text = _open(line)
    message = REQUESTS_BY_HEADER.get(text[:_HEADER_SIZE])
    if message is None:
        raise ModuleFrameError(
            status=ModuleStatus.UNKNOWN_HEADER.code, problem=f"unknown header {text[:5]!r}"
        )
    request = _read_fields(message, text[_HEADER_SIZE:])
    assert isinstance(request, Request)
    return request


def encode_answer(answer: Answer, request: Request) -> bytes:
    """Return the line that answers a request with success, CR included."""
    letters = REQUESTS_BY_RECORD[type(request)].letters
    fields = _write_fields(ANSWERS_BY_LETTERS[letters], answer)
    return _seal(f"SM!{letters}{SUCCESS}{fields}")


def encode_refusal(status: str) -> bytes:
    """Return the line of a generic failure, CR included; `status` is two characters."""
    return _seal(_GENERIC_FAILURE + status)


class LineBuffer:
    """Cuts what arrives into lines; holds at most `LINE_SIZE_MAX_BYTES` of an unfinished one."""

    def __init__(self) -> None:
        self._unfinished = b""

    def receive(self, octets: bytes) -> list[bytes]:
        """Return the lines that these bytes complete, without their CR.

        Raises:
            ModuleFrameError: A line is too long; what is held is dropped.
        """
        *lines, self._unfinished = (self._unfinished + octets).split(END_OF_LINE)
        if max(map(len, (*lines, self._unfinished))) > LINE_SIZE_MAX_BYTES:
            self._unfinished = b""
            raise ModuleFrameError(
                status=ModuleStatus.PAYLOAD_FORMAT.code,
                problem=f"longer than {LINE_SIZE_MAX_BYTES} bytes",
            )
        return lines


def _seal(text: str) -> bytes:
    octets = text.encode("ascii")
    return octets + f"{compute_crc_arc(octets):04X}".encode("ascii") + END_OF_LINE


def _open(line: bytes) -> str:
    """Return a line without its CRC, which is right.

    Raises:
        ModuleFrameError: It is empty, its CRC is wrong, or it is not all ASCII.
    """
    octets = line.removesuffix(END_OF_LINE)
    covered, crc = octets[:-_CRC_SIZE], octets[-_CRC_SIZE:]
    if not covered:
        raise ModuleFrameError(status=ModuleStatus.RECORD_EMPTY.code, problem="it is empty")
    if crc != f"{compute_crc_arc(covered):04X}".encode("ascii"):
        raise ModuleFrameError(status=ModuleStatus.CHECKSUM.code, problem="its CRC is wrong")
    if not covered.isascii():
        raise ModuleFrameError(
            status=ModuleStatus.PAYLOAD_FORMAT.code, problem="it is not all ASCII"
        )
    return covered.decode("ascii")


def _write_fields(message: Message, record: object) -> str:
    return "".join(
        f"{kind.letter}{kind.write(getattr(record, name))}~" for name, kind in message.fields
    )


def _read_fields(message: Message, body: str) -> object:
    *texts, rest = body.split("~")
    if rest or len(texts) != len(message.fields):
        raise ModuleFrameError(
            status=ModuleStatus.PAYLOAD_FORMAT.code,
            problem=f"{message.letters} takes {len(message.fields)} fields, each ended by ~",
        )
    values: dict[str, object] = {}
    for text, (name, kind) in zip(texts, message.fields, strict=True):
        value = _read_field(name, kind, text)
        if values.setdefault(name, value) != value:
            raise ModuleFrameError(
                status=ModuleStatus.FIELD_VALUE.code, problem=f"its two {name} differ"
            )
    return _translate_refusals(partial(message.record, **values))


def _read_field(name: str, kind: FieldType, text: str) -> object:
    if text[:1] != kind.letter or not kind.pattern.fullmatch(text[1:]):
        raise ModuleFrameError(
            status=ModuleStatus.PAYLOAD_FORMAT.code,
            problem=f"{name} {text!r} is no {kind.letter} field of its form",
        )
    return _translate_refusals(partial(kind.read, text[1:]))


def _translate_refusals(make: Callable[[], object]) -> object:
    """Return what is made; a value that is refused becomes the status a module answers.

    Raises:
        ModuleFrameError: The value was refused.
    """
    try:
        return make()
    except CheckDigitError as error:
        raise ModuleFrameError(status=ModuleStatus.LUHN.code, problem=str(error)) from error
    except STSError as error:
        raise ModuleFrameError(status=ModuleStatus.FIELD_VALUE.code, problem=str(error)) from error
