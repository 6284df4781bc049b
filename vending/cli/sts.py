"""sts: run conformance vectors, explain a token."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

import typer

from vending.cli.access import host
from vending.cli.context import DataOption, opened_container
from vending.cli.output import (
    FindingsError,
    JsonOption,
    Row,
    print_document,
    print_line,
    print_note,
    progress_bar,
)
from vending.errors import ErrorKind, VendingError
from vending.keystore.model import KeyReference
from vending.keystore.port import KeyChangeSection, VerifyRequest
from vending.meters.rules import parse_meter_number
from vending.meters.service import find_meters
from vending.sts import (
    SGC,
    TI,
    AuthenticationResult,
    BaseDate,
    EncryptionAlgorithm,
    KeyType,
    MeterPAN,
    Rejection,
    Result,
    TokenResult,
    group_digits,
    ungroup_digits,
)
from vending.sts.conformance import VectorOutcome, check_vector, list_vectors
from vending.sts.explain import explain

app: Final = typer.Typer(help="The STS engine: conformance, decoding.", no_args_is_help=True)


_MEANINGS: Final[Mapping[Result, str]] = MappingProxyType(
    {
        TokenResult.FORMAT_ERROR: "not 20 digits, or a number that no token has",
        TokenResult.FUNCTION_ERROR: "a class, subclass or function that the standard reserves",
        TokenResult.RANGE_ERROR: "authentic, and a field holds a value it may not",
        AuthenticationResult.CRC_ERROR: "not made for this meter's key, or a digit is wrong",
    }
)
"""What a rejection means to a clerk; those that take a meter's memory are never given here."""


class VectorFileError(VendingError):
    """The file of vectors cannot be read."""

    kind = ErrorKind.INVALID
    code = "vector_file_unreadable"
    remedy = "Give a JSON file with a list of vectors under `vectors`, in UTF-8."

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}", path=path)


class ConformanceError(FindingsError):
    """Some vectors differ."""

    kind = ErrorKind.REFUSED
    code = "vectors_differ"
    remedy = "Read the lines marked `differs`; each says what was expected."

    def __init__(self, failed_count: int, report: Row) -> None:
        message = f"{failed_count} of {report['total']} vectors differ"
        super().__init__(message, report=report, count=failed_count)


class MeterKeyUnknownError(VendingError):
    """The token cannot be read without the meter's key attributes."""

    kind = ErrorKind.INVALID
    code = "meter_key_unknown"
    remedy = "Register the meter, or pass --sgc, --krn, --ti and where needed --kt and --ea."

    def __init__(self, meter: str) -> None:
        super().__init__(f"meter {meter} is not registered and no key was named", meter=meter)


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="sts")


@app.command("conformance")
@host("computes on what it is given; opens no installation")
def conformance(
    file: Annotated[Path, typer.Argument(help="JSON file of vectors.")],
    as_json: JsonOption = False,
) -> None:
    """Encode every vector of a file, decode it back, and exit 1 when any differs.

    Raises:
        ConformanceError: Some vectors differ.
    """
    vectors = list_vectors(_read_json(file))
    outcomes: list[VectorOutcome] = []
    with progress_bar(as_json=as_json) as bar:
        for number, vector in enumerate(bar.track(vectors, description="vectors"), start=1):
            outcomes.append(check_vector(vector, number=number))
    failed_count = sum(not outcome.passed for outcome in outcomes)
    report: Row = {
        "total": len(outcomes),
        "failed": failed_count,
        "vectors": [_outcome_row(outcome) for outcome in outcomes],
    }
    for outcome in outcomes:
        verdict = "ok" if outcome.passed else f"differs: {outcome.message}"
        print_line(f"{outcome.id}  {outcome.kind}  {verdict}", as_json=as_json)
    print_note(f"{len(outcomes) - failed_count} of {len(outcomes)} vectors agree", as_json=as_json)
    if failed_count:
        raise ConformanceError(failed_count, report)
    if as_json:
        print_document(report, as_json=True)


@app.command("decode")
@host("explains digits that are typed; shows no token that was sold")
def decode(
    token: Annotated[list[str], typer.Argument(help="20 digits; blanks and dashes are ignored.")],
    meter: Annotated[str, typer.Option("--meter", help="DRN or MeterPAN.")],
    sgc: Annotated[str | None, typer.Option("--sgc", help="Supply group code.")] = None,
    krn: Annotated[
        int | None, typer.Option("--krn", min=1, max=9, help="Key revision number.")
    ] = None,
    kt: Annotated[int, typer.Option("--kt", help="Key type.")] = 2,
    ti: Annotated[str, typer.Option("--ti", help="Tariff index.")] = "01",
    ea: Annotated[int, typer.Option("--ea", help="Encryption algorithm: 7 or 11.")] = 7,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a token field by field, under the key of a meter.

    Raises:
        MeterKeyUnknownError: The meter is not registered, and no key was named.
    """
    pan = parse_meter_number(meter)
    digits = ungroup_digits("".join(token))
    with opened_container(data) as container:
        if sgc is not None and krn is not None:
            register = KeyReference(SGC(sgc), krn, KeyType(kt))
            cipher = EncryptionAlgorithm(ea)
            request = VerifyRequest(pan=pan, ti=TI(ti), ea=cipher, digits=digits)
        else:
            with container.database.read() as connection:
                found = find_meters(connection, [pan]).get(pan)
            if found is None:
                raise MeterKeyUnknownError(meter)
            register = KeyReference(found.sgc, found.krn, found.kt)
            request = VerifyRequest(pan=pan, ti=found.ti, ea=found.ea, digits=digits)
        told = container.security_module.verify(register, request)
        base_date = container.security_module.describe(register).attributes.base_date
    print_document(_explain(told, digits, pan, base_date), as_json=as_json)


def _explain(told: object, digits: str, pan: MeterPAN, base_date: BaseDate) -> dict[str, object]:
    heading: dict[str, object] = {"digits": group_digits(digits), "meter": pan.digits}
    match told:
        case Rejection():
            meaning = _MEANINGS[told.result]
            return {**heading, "result": told.result.value, "meaning": meaning}
        case KeyChangeSection():
            fields = {one.label: one.value for one in told.told}
            return {**heading, "result": "accepted", **fields}
        case _:
            lines = explain(told, base_date=base_date)  # type: ignore[arg-type] # the rest are tokens
            return {**heading, "result": "accepted", **{one.label: one.value for one in lines}}


def _outcome_row(outcome: VectorOutcome) -> dict[str, object]:
    return {
        "id": outcome.id,
        "kind": outcome.kind,
        "passed": outcome.passed,
        "expected": list(outcome.expected),
        "got": list(outcome.got),
        "message": outcome.message,
    }


def _read_json(path: Path) -> object:
    try:
        document: object = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise VectorFileError(str(path), error.strerror or "cannot be read") from error
    except (ValueError, RecursionError) as error:
        raise VectorFileError(str(path), f"it is no JSON: {error}") from error
    return document
