"""The record of a key ceremony as a page to sign: who, when, check values; never key material."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from vending.custody.model import Ceremony, CeremonyState
from vending.sts import compute_expiry
from vending.values.identifiers import ApprovalId

_CHINESE_FONT: Final = "STSong-Light"
_LATIN_FONT: Final = "Helvetica"
_LATIN_LAST: Final = 0xFF
_MARGIN: Final = 16 * mm
_LINE: Final = 10
"""Of text, in points."""


class RecordLanguage(StrEnum):
    """The language of a record."""

    EN = "en"
    ZH_CN = "zh-CN"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedApproval:
    """Who allowed the key to be taken in."""

    id: ApprovalId
    digest: str
    requested_by: str
    requested_at: datetime
    decided_by: str
    decided_at: datetime


_EN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "title": "Record of a key ceremony",
        "key": "Key",
        "ceremony": "Ceremony",
        "sgc": "Supply group (SGC)",
        "krn": "Key revision (KRN)",
        "kt": "Key type (KT)",
        "ken": "Key expiry number (KEN)",
        "expires": "Key expires",
        "base_date": "Base date",
        "dkga": "Key derivation (DKGA)",
        "check_value": "Check value",
        "demo": "Demonstration key",
        "yes": "yes",
        "no": "no",
        "begun": "Begun",
        "ended": "Ended",
        "state": "Outcome",
        "open": "open",
        "finished": "key taken into the store",
        "aborted": "aborted, components wiped",
        "expired": "expired, components wiped",
        "components": "Components",
        "number": "No.",
        "custodian": "Custodian",
        "entered": "Entered",
        "missing": "not entered",
        "approval": "Approval",
        "requested": "Requested",
        "approved": "Approved",
        "digest": "Digest (SHA-256)",
        "none": "none",
        "signatures": "Signatures",
        "name": "Name",
        "date": "Date",
        "signature": "Signature",
        "witness": "Witness",
        "approver": "Approver",
        "note": "This record holds no key material. Times are in {timezone}. Printed {at}.",
    }
)
_ZH: Final[Mapping[str, str]] = MappingProxyType(
    {
        "title": "密钥仪式记录",
        "key": "密钥",
        "ceremony": "仪式编号",
        "sgc": "供电组代码 (SGC)",
        "krn": "密钥版本号 (KRN)",
        "kt": "密钥类型 (KT)",
        "ken": "密钥到期号 (KEN)",
        "expires": "密钥到期时间",
        "base_date": "基准日期",
        "dkga": "密钥派生算法 (DKGA)",
        "check_value": "校验值",
        "demo": "演示密钥",
        "yes": "是",
        "no": "否",
        "begun": "开始",
        "ended": "结束",
        "state": "结果",
        "open": "进行中",
        "finished": "密钥已存入密钥库",
        "aborted": "已中止、分量已清除",
        "expired": "已过期、分量已清除",
        "components": "密钥分量",
        "number": "序号",
        "custodian": "保管人",
        "entered": "录入时间",
        "missing": "未录入",
        "approval": "审批",
        "requested": "申请",
        "approved": "批准",
        "digest": "摘要 (SHA-256)",
        "none": "无",
        "signatures": "签字",
        "name": "姓名",
        "date": "日期",
        "signature": "签名",
        "witness": "见证人",
        "approver": "批准人",
        "note": "本记录不含任何密钥内容。时间所用时区为 {timezone}。打印时间 {at}。",
    }
)
WORDS: Final[Mapping[RecordLanguage, Mapping[str, str]]] = MappingProxyType(
    {RecordLanguage.EN: _EN, RecordLanguage.ZH_CN: _ZH}
)
"""Every word of the record in each language."""


@dataclass(frozen=True, slots=True)
class _Page:
    """The words and the clock of one record."""

    words: Mapping[str, str]
    zone: ZoneInfo

    def paragraph(self, text: str, size: int = 10) -> Paragraph:
        font = _LATIN_FONT if _is_latin(text) else _CHINESE_FONT
        style = ParagraphStyle("text", fontName=font, fontSize=size, leading=size + 4)
        return Paragraph(_escaped(text), style)

    def at(self, instant: datetime | None) -> str:
        if instant is None:
            return ""
        return f"{instant.astimezone(self.zone):%Y-%m-%d %H:%M:%S}"


def render_record(
    held: Ceremony,
    approval: RecordedApproval | None,
    *,
    language: RecordLanguage,
    utility: str,
    timezone: str,
    printed_at: datetime,
) -> bytes:
    """Return the record as a PDF of A4 pages."""
    pdfmetrics.registerFont(UnicodeCIDFont(_CHINESE_FONT))
    page = _Page(WORDS[language], ZoneInfo(timezone))
    words = page.words
    note = words["note"].replace("{timezone}", timezone).replace("{at}", page.at(printed_at))
    story: list[Flowable] = [
        page.paragraph(utility, 12),
        page.paragraph(words["title"], 18),
        Spacer(0, _LINE),
        _pairs(page, _key_rows(page, held)),
        Spacer(0, _LINE),
        page.paragraph(words["components"], 13),
        _grid(page, _component_rows(page, held), (15, 60, 40, 55)),
        Spacer(0, _LINE),
        page.paragraph(words["approval"], 13),
        _pairs(page, _approval_rows(page, approval)),
        Spacer(0, _LINE),
        page.paragraph(words["signatures"], 13),
        _grid(page, _signature_rows(page, held, approval), (40, 50, 30, 50), row_mm=11),
        Spacer(0, _LINE),
        page.paragraph(note, 8),
    ]
    target = io.BytesIO()
    document = SimpleDocTemplate(
        target,
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
        title=words["title"],
        author=utility,
        subject=str(held.register),
        invariant=True,
    )
    document.build(story)
    return target.getvalue()


def _key_rows(page: _Page, held: Ceremony) -> list[tuple[str, str]]:
    words, attributes = page.words, held.attributes
    expiry = compute_expiry(attributes.base_date, attributes.ken)
    return [
        (words["ceremony"], str(held.id)),
        (words["key"], str(held.register)),
        (words["sgc"], attributes.sgc.digits),
        (words["krn"], str(attributes.krn)),
        (words["kt"], f"{int(attributes.kt)} ({attributes.kt.name})"),
        (words["ken"], str(attributes.ken)),
        (words["expires"], page.at(expiry)),
        (words["base_date"], str(int(attributes.base_date))),
        (words["dkga"], f"{int(attributes.dkga):02}"),
        (words["check_value"], held.check_value),
        (words["demo"], words["yes" if held.is_demo else "no"]),
        (words["begun"], f"{page.at(held.begun_at)}  {held.begun_by}"),
        (words["ended"], f"{page.at(held.ended_at)}  {held.ended_by or ''}".strip()),
        (words["state"], words[held.state.value]),
    ]


def _component_rows(page: _Page, held: Ceremony) -> list[tuple[str, ...]]:
    words = page.words
    entered = {one.number: one for one in held.components}
    rows: list[tuple[str, ...]] = [
        (words["number"], words["custodian"], words["check_value"], words["entered"])
    ]
    for number in range(1, held.component_count + 1):
        one = entered.get(number)
        if one is None:
            rows.append((str(number), words["missing"], "", ""))
        else:
            rows.append((str(number), one.custodian, one.check_value, page.at(one.entered_at)))
    return rows


def _approval_rows(page: _Page, approval: RecordedApproval | None) -> list[tuple[str, str]]:
    words = page.words
    if approval is None:
        return [(words["approval"], words["none"])]
    return [
        (words["approval"], str(approval.id)),
        (words["requested"], f"{page.at(approval.requested_at)}  {approval.requested_by}"),
        (words["approved"], f"{page.at(approval.decided_at)}  {approval.decided_by}"),
        (words["digest"], f"{approval.digest[:32]} {approval.digest[32:]}"),
    ]


def _signature_rows(
    page: _Page, held: Ceremony, approval: RecordedApproval | None
) -> list[tuple[str, ...]]:
    words = page.words
    rows: list[tuple[str, ...]] = [("", words["name"], words["date"], words["signature"])]
    rows += [
        (f"{words['custodian']} {one.number}", one.custodian, "", "") for one in held.components
    ]
    if approval is not None and held.state is CeremonyState.FINISHED:
        rows.append((words["approver"], approval.decided_by, "", ""))
    rows.append((words["witness"], "", "", ""))
    return rows


def _pairs(page: _Page, rows: Sequence[tuple[str, str]]) -> Table:
    cells = [[page.paragraph(name), page.paragraph(value)] for name, value in rows]
    table = Table(cells, colWidths=[55 * mm, 115 * mm], hAlign="LEFT")
    table.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.grey),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 1),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
            ]
        )
    )
    return table


def _grid(
    page: _Page, rows: Sequence[tuple[str, ...]], widths_mm: Sequence[int], *, row_mm: int = 7
) -> Table:
    cells = [[page.paragraph(value) for value in row] for row in rows]
    heights = [7 * mm, *(row_mm * mm for _ in rows[1:])]
    table = Table(
        cells,
        colWidths=[width * mm for width in widths_mm],
        rowHeights=heights,
        repeatRows=1,
        hAlign="LEFT",
    )
    table.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.5, colors.black),
                ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
                ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ]
        )
    )
    return table


def _is_latin(text: str) -> bool:
    """Say whether the Latin font has every character."""
    return all(ord(character) <= _LATIN_LAST for character in text)


def _escaped(text: str) -> str:
    """Return the text as the page's mark-up shows it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
