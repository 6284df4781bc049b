"""The record of a ceremony: both languages have every word, and no page has key material."""

import re
import uuid
import zlib
from base64 import a85decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.vending_keys import DKGA04_HEX, DUTK_2014
from vending.custody.ceremony_record import (
    WORDS,
    RecordedApproval,
    RecordLanguage,
    render_record,
)
from vending.custody.model import Ceremony, CeremonyState, EnteredComponent
from vending.values.identifiers import ApprovalId, CeremonyId, OperatorId

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
NAMES = ("chen", "amina", "li <&> wei")
HELD = Ceremony(
    id=CeremonyId(uuid.UUID(int=5)),
    attributes=DUTK_2014.attributes,
    component_count=3,
    check_value="ABCDEF",
    is_demo=False,
    state=CeremonyState.FINISHED,
    begun_by="chen",
    begun_by_id=OperatorId(uuid.UUID(int=1)),
    begun_at=NOW,
    expires_at=NOW + timedelta(days=1),
    components=tuple(
        EnteredComponent(
            number=number,
            custodian_id=OperatorId(uuid.UUID(int=number)),
            custodian=name,
            person=name,
            check_value=f"12345{number}",
            entered_at=NOW + timedelta(minutes=number),
            is_held=False,
        )
        for number, name in enumerate(NAMES, 1)
    ),
    approval_id=ApprovalId(uuid.UUID(int=9)),
    ended_by="chen",
    ended_at=NOW + timedelta(hours=1),
)
APPROVAL = RecordedApproval(
    id=ApprovalId(uuid.UUID(int=9)),
    digest="6f1c7a3b" * 8,
    requested_by="chen",
    requested_at=NOW,
    decided_by="amina",
    decided_at=NOW,
)


def render(held: Ceremony, approval: RecordedApproval | None, language: RecordLanguage) -> bytes:
    return render_record(
        held,
        approval,
        language=language,
        utility="Lumen Utility",
        timezone="Africa/Nairobi",
        printed_at=NOW,
    )


def text_of(pdf: bytes) -> str:
    """The text that the page's content draws in Latin letters."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL)
    drawn = b"".join(zlib.decompress(a85decode(b"<~" + one.strip(), adobe=True)) for one in streams)
    words = re.findall(rb"\((.*?)(?<!\\)\) Tj", drawn, re.DOTALL)
    return " ".join(word.decode("latin-1") for word in words)


@pytest.mark.parametrize("language", RecordLanguage)
def test_record_tells_who_when_and_the_check_values(language: RecordLanguage) -> None:
    told = text_of(render(HELD, APPROVAL, language))
    for wanted in ("201457/1/DUTK", "ABCDEF", "123451", "123453", "chen", "2026-11-25 11:01:00"):
        assert wanted in told
    assert all(piece in told for piece in ("li", "<", "wei"))
    assert str(APPROVAL.id) in told


@pytest.mark.parametrize("state", CeremonyState)
def test_record_of_every_outcome_is_one_page(state: CeremonyState) -> None:
    held = replace(HELD, state=state, components=HELD.components[:1])
    for language in RecordLanguage:
        pdf = render(held, None, language)
        assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") == 1


def test_largest_ceremony_is_printed() -> None:
    many = tuple(replace(HELD.components[0], number=number) for number in range(1, 10))
    assert render(replace(HELD, component_count=9, components=many), APPROVAL, RecordLanguage.EN)


def test_record_is_the_same_every_time_and_holds_no_key() -> None:
    first = render(HELD, APPROVAL, RecordLanguage.EN)
    assert first == render(HELD, APPROVAL, RecordLanguage.EN)
    told = text_of(first).upper()
    for secret in (DKGA04_HEX, *(part.secret.reveal().hex() for part in DUTK_2014.components)):
        assert secret.upper() not in told


def test_languages_have_the_same_words() -> None:
    assert WORDS[RecordLanguage.EN].keys() == WORDS[RecordLanguage.ZH_CN].keys()
    assert all(WORDS[language].values() for language in RecordLanguage)
    assert {state.value for state in CeremonyState} <= WORDS[RecordLanguage.EN].keys()
