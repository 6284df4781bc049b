"""How a list of key-change sets looks: text, CSV and PDF, in English and Chinese; pure."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table

from vending.sts import group_digits

Language = Literal["en", "zh-CN"]
FONT: Final = "STSong-Light"
"""Adobe's for simplified Chinese; every reader of PDF brings it, none is embedded."""

_WORDS: Final[Mapping[Language, Mapping[str, str]]] = MappingProxyType(
    {
        "en": MappingProxyType(
            {
                "title": "Key change list",
                "campaign": "Campaign",
                "printed": "Printed",
                "place": "Place",
                "meter": "Meter",
                "set": "Enter in this order, all of them",
                "done": "Entered",
                "refused": "Refused",
                "note": (
                    "Enter all tokens of a meter one after the other. If the meter refuses the"
                    " first, write down what it shows and go on to the next meter. Report what was"
                    " entered: until then both keys count."
                ),
            }
        ),
        "zh-CN": MappingProxyType(
            {
                "title": "换钥任务单",
                "campaign": "任务",
                "printed": "打印时间",
                "place": "地点",
                "meter": "表号",
                "set": "按顺序全部输入",
                "done": "已输入",
                "refused": "被拒绝",
                "note": (
                    "请将同一电表的全部换钥码依次输入。若电表拒绝第一个,请记下显示内容,"
                    "再到下一块电表。请回报已输入的电表:回报之前新旧密钥均有效。"
                ),
            }
        ),
    }
)


class ListFormat(StrEnum):
    """What a list is printed as."""

    TEXT = "text"
    CSV = "csv"
    PDF = "pdf"


@dataclass(frozen=True, slots=True)
class PrintLine:
    """One meter of a list."""

    place: str
    drn: str
    sections: tuple[str, ...] = field(repr=False)


def render(
    lines: Sequence[PrintLine],
    *,
    list_format: ListFormat,
    language: Language,
    campaign: str,
    printed_at: str,
) -> bytes:
    """Return the list as bytes of its format."""
    heading = ListHeading(campaign, printed_at, language)
    return _RENDERERS[list_format](heading, lines)


@dataclass(frozen=True, slots=True)
class ListHeading:
    """What stands above a list."""

    campaign: str
    printed_at: str
    language: Language

    @property
    def words(self) -> Mapping[str, str]:
        """Return the words of its language."""
        return _WORDS[self.language]

    def rows(self) -> list[str]:
        """Return the heading as lines."""
        words = self.words
        return [
            words["title"],
            f"{words['campaign']}: {self.campaign}",
            f"{words['printed']}: {self.printed_at}",
            words["note"],
        ]


def _render_text(heading: ListHeading, lines: Sequence[PrintLine]) -> bytes:
    words = heading.words
    rows = [*heading.rows(), ""]
    place = None
    for line in lines:
        if line.place != place:
            place = line.place
            rows += [f"== {words['place']}: {place or '-'}", ""]
        rows.append(f"{words['meter']} {line.drn}")
        rows += [f"  {n}  {group_digits(each)}" for n, each in enumerate(line.sections, 1)]
        rows += [f"  [ ] {words['done']}   [ ] {words['refused']}: ________", ""]
    return "\n".join(rows).encode()


def _render_csv(heading: ListHeading, lines: Sequence[PrintLine]) -> bytes:
    del heading  # columns are for programs: they have one name in every language
    count = max(len(line.sections) for line in lines)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["place", "drn", *(f"token_{n}" for n in range(1, count + 1))])
    for line in lines:
        # In groups a token is text to a spreadsheet, which would round twenty digits.
        tokens = [group_digits(each) for each in line.sections]
        writer.writerow([_guarded(line.place), _guarded(line.drn), *tokens])
    return out.getvalue().encode("utf-8-sig")


def _guarded(text: str) -> str:
    """Return the text so that a spreadsheet does not run it."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _render_pdf(heading: ListHeading, lines: Sequence[PrintLine]) -> bytes:
    registerFont(UnicodeCIDFont(FONT))
    words = heading.words
    title, *rest = heading.rows()
    story: list[Flowable] = [
        Paragraph(escape(title), _TITLE),
        *(Paragraph(escape(row), _BODY) for row in rest),
        Spacer(1, 4 * mm),
    ]
    header = [words["place"], words["meter"], words["set"], words["done"], words["refused"]]
    rows: list[list[Any]] = [[Paragraph(escape(each), _BODY) for each in header]]
    for line in lines:
        tokens = "<br/>".join(
            f"{n}&nbsp;&nbsp;{group_digits(each)}" for n, each in enumerate(line.sections, 1)
        )
        rows.append(
            [
                Paragraph(escape(line.place or "-"), _BODY),
                Paragraph(escape(line.drn), _BODY),
                Paragraph(tokens, _DIGITS),
                "",
                "",
            ]
        )
    story.append(_table(rows))
    out = io.BytesIO()
    SimpleDocTemplate(out, pagesize=A4, title=title, margin=15 * mm, invariant=1).build(story)
    return out.getvalue()


def _table(rows: list[list[Any]]) -> Table:
    widths = [width * mm for width in (42, 30, 62, 17, 24)]
    # A row is not split: all tokens of a meter stand together.
    table = Table(rows, colWidths=widths, repeatRows=1, splitByRow=1)
    table.setStyle(
        [
            ("GRID", (0, 0), (-1, -1), 0.4, colors.grey),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
        ]
    )
    return table


_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_TITLE: Final = ParagraphStyle("title", fontName=FONT, fontSize=15, leading=22)
_BODY: Final = ParagraphStyle("body", fontName=FONT, fontSize=9, leading=13, wordWrap="CJK")
_DIGITS: Final = ParagraphStyle("digits", fontName="Courier", fontSize=9.5, leading=14)
MEDIA_TYPES: Final[Mapping[ListFormat, str]] = MappingProxyType(
    {
        ListFormat.TEXT: "text/plain; charset=utf-8",
        ListFormat.CSV: "text/csv; charset=utf-8",
        ListFormat.PDF: "application/pdf",
    }
)
_RENDERERS: Final[Mapping[ListFormat, Callable[[ListHeading, Sequence[PrintLine]], bytes]]] = (
    MappingProxyType(
        {
            ListFormat.TEXT: _render_text,
            ListFormat.CSV: _render_csv,
            ListFormat.PDF: _render_pdf,
        }
    )
)
