"""Rows of a CSV file that people made with a spreadsheet, and the findings about them.

A finding is a value: it names row, column and code, and says what to do. One bad row never
stops the next; what makes the rest unreadable (encoding, header, a lost quote) ends the
reading with one finding. Only UTF-8 is read, with or without a byte order mark; cells are
separated by comma, semicolon or tab, whichever the header uses.
"""

import csv
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, ClassVar, Final, Generic, TypeVar

from vending.errors import ErrorKind, VendingError

LINE_SIZE_BYTES_MAX: Final = 65_536
"""A longer line is no row of ours but a file without line ends."""
ROW_COUNT_MAX: Final = 1_000_000
"""What a spreadsheet holds; the records of one file are kept in memory."""
FINDING_COUNT_MAX: Final = 1_000
"""Nobody reads more; the file is then wrong as a whole."""
PROGRESS_STEP_ROWS: Final = 1_000
BATCH_SIZE: Final = 500
"""Records in one statement: about 20 columns each stay below the 32,766 parameters of SQLite."""

_SCIENTIFIC: Final = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?[eE][+-]?[0-9]+")
_FORMULA_STARTS: Final = ("=", "+", "-", "@")
_ZIP_MARK: Final = b"PK\x03\x04"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")

RecordT = TypeVar("RecordT")
ValueT = TypeVar("ValueT")
Progress = Callable[[str, int], None]
"""Called with what was done (`read` or `written`) and the number of rows so far."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a file; `row` counts as a spreadsheet does, the header being 1."""

    row: int
    column: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row; every known column has a cell, empty where the file has none."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a kind of file must and may have."""

    required: tuple[str, ...]
    optional: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NumberedRecord(Generic[RecordT]):
    """A record and the row that it came from."""

    row: int
    record: RecordT


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import found and did: all rows were written, or none (also on a dry run)."""

    row_count: int
    written_count: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class ParsedFile(Generic[RecordT]):
    """The records of a file that are well-formed, and what is wrong with the others."""

    row_count: int
    records: tuple[NumberedRecord[RecordT], ...]
    findings: tuple[Finding, ...]

    def report(self, later_findings: Sequence[Finding], *, written_count: int) -> ImportReport:
        """Return what the import comes to, its findings in the order of the rows."""
        found = sorted((*self.findings, *later_findings), key=lambda finding: finding.row)
        if len(found) > FINDING_COUNT_MAX:
            found[FINDING_COUNT_MAX:] = [_too_many_findings(found[FINDING_COUNT_MAX].row)]
        return ImportReport(self.row_count, written_count, tuple(found))


@dataclass(frozen=True, slots=True)
class RecordFormat(Generic[RecordT]):
    """How a kind of record stands in a file; `key` is unique and stands in `key_column`."""

    columns: Columns
    parse: Callable[[Row], "RecordT | list[Finding]"]
    key_column: str
    key: Callable[[RecordT], str]


class ScientificNotationError(VendingError):
    """A spreadsheet rewrote a long number as 6.0E+10; its last digits are lost."""

    kind = ErrorKind.INVALID
    code = "scientific_notation"
    remedy: ClassVar[str] = "Format the column as text, enter the numbers again, and export anew."

    def __init__(self, given: str) -> None:
        super().__init__(f"{given} is a number that a spreadsheet rounded", given=given)


class TextCellError(VendingError):
    """A text would be run as a formula by a spreadsheet, or cannot be printed."""

    kind = ErrorKind.INVALID
    code = "text_not_plain"
    remedy: ClassVar[str] = "Write plain text that starts with a letter or a digit."

    def __init__(self, given: str) -> None:
        super().__init__(f"{given[:40]!r} is no plain text", given=given[:40])


def clean_digits(text: str) -> str:
    """Return a cell of digits without the spaces, dashes and apostrophe that people add.

    Raises:
        ScientificNotationError: A spreadsheet turned it into a rounded number.
    """
    if text.isascii() and text.isdigit():
        return text
    bare = text.strip().removeprefix("'")
    if _SCIENTIFIC.fullmatch(bare):
        raise ScientificNotationError(bare)
    return re.sub(r"[ \u00a0-]", "", bare)


def clean_text(text: str) -> str:
    """Return a cell of free text, stripped; what a spreadsheet would run is refused.

    Raises:
        TextCellError: It starts like a formula or has characters that do not print.
    """
    bare = text.strip()
    if bare.startswith(_FORMULA_STARTS) or not bare.isprintable():
        raise TextCellError(bare)
    return bare


def check_cells(row: Row, parsers: Mapping[str, Callable[[str], object]]) -> list[Finding]:
    """Return a finding for each cell that its parser refuses."""
    findings = []
    for column, parse in parsers.items():
        try:
            parse(row.cells[column])
        except VendingError as error:
            findings.append(describe_refusal(row.number, column, error))
    return findings


def describe_refusal(row: int, column: str, error: VendingError) -> Finding:
    """Return the refusal as a finding about a cell."""
    return Finding(row, column, error.code, f"{error}. {error.remedy}")


def parse_file(
    source: BinaryIO, record_format: RecordFormat[RecordT], progress: Progress
) -> ParsedFile[RecordT]:
    """Return all well-formed records of the file, and a finding for all that is not."""
    records: list[NumberedRecord[RecordT]] = []
    findings: list[Finding] = []
    first_rows: dict[str, int] = {}
    row_count = 0
    for row in read_rows(source, record_format.columns):
        if len(findings) > FINDING_COUNT_MAX:
            break
        if isinstance(row, Finding):
            findings.append(row)
            continue
        row_count += 1
        if row_count % PROGRESS_STEP_ROWS == 0:
            progress("read", row_count)
        record = record_format.parse(row)
        if isinstance(record, list):
            findings += record
            continue
        first = first_rows.setdefault(record_format.key(record), row.number)
        if first != row.number:
            findings.append(_duplicate(row.number, record_format.key_column, first))
            continue
        records.append(NumberedRecord(row.number, record))
    progress("read", row_count)
    return ParsedFile(row_count, tuple(records), tuple(findings))


def no_progress(what: str, row_count: int) -> None:
    """Report to nobody."""


def in_batches(records: Sequence[ValueT]) -> Iterator[Sequence[ValueT]]:
    """Yield the records in their order, some hundreds at a time."""
    for start in range(0, len(records), BATCH_SIZE):
        yield records[start : start + BATCH_SIZE]


def read_rows(source: BinaryIO, columns: Columns) -> Iterator[Row | Finding]:
    """Yield each row that is not blank, and a finding for each that cannot be read."""
    lines = _decode_lines(source)
    number = 1
    try:
        header_line = next(lines, "")
        reader = csv.reader(
            chain([header_line], lines), delimiter=_choose_delimiter(header_line), strict=True
        )
        header = [cell.strip().lower() for cell in next(reader, [])]
        header_findings = _check_header(header, columns)
        yield from header_findings
        if header_findings:
            return
        known = (*columns.required, *columns.optional)
        for number, cells in enumerate(reader, 2):
            if number > ROW_COUNT_MAX:
                yield Finding(number, "", "too_many_rows", f"Split it: {ROW_COUNT_MAX} at most.")
                return
            if any(cell.strip() for cell in cells):
                yield _make_row(number, cells, header, known)
    except _UnreadableError as error:
        yield Finding(number + 1, "", error.code, error.message)
    except csv.Error as error:
        message = f"The quotes do not match ({error}). Correct this row and export anew."
        yield Finding(number + 1, "", "malformed_csv", message)


class _UnreadableError(Exception):
    """The bytes of a line cannot become text, so that nothing after it is trusted."""

    def __init__(self, *, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def _decode_lines(source: BinaryIO) -> Iterator[str]:
    encoding = "utf-8-sig"
    while line := source.readline(LINE_SIZE_BYTES_MAX + 1):
        if len(line) > LINE_SIZE_BYTES_MAX:
            message = f"A line is longer than {LINE_SIZE_BYTES_MAX} bytes: this is no CSV file."
            raise _UnreadableError(code="line_too_long", message=message)
        try:
            yield line.decode(encoding)
        except UnicodeDecodeError:
            raise _UnreadableError(code="not_utf8", message=_describe_encoding(line)) from None
        encoding = "utf-8"


def _describe_encoding(line: bytes) -> str:
    likely = "in another encoding"
    if line.startswith(_UTF16_MARKS):
        likely = "in UTF-16"
    elif line.startswith(_ZIP_MARK):
        likely = "a spreadsheet's own file"
    else:
        try:
            line.decode("gb18030")
            likely = "perhaps in GBK or a Western encoding"
        except UnicodeDecodeError:
            pass
    return f"The text is not UTF-8 but {likely}. Save it again as `CSV UTF-8`."


def _choose_delimiter(header_line: str) -> str:
    return max((",", ";", "\t"), key=header_line.count)


def _check_header(header: list[str], columns: Columns) -> list[Finding]:
    known = (*columns.required, *columns.optional)
    findings = [
        Finding(1, column, "missing_column", f"Add the column {column}.")
        for column in columns.required
        if column not in header
    ]
    for index, column in enumerate(header):
        if column in header[:index]:
            message = f"The column {column!r} stands twice. Remove one."
            findings.append(Finding(1, column, "duplicate_column", message))
        elif column not in known:
            close = difflib.get_close_matches(column, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}."
            message = f"There is no column {column!r}: {hint}"
            findings.append(Finding(1, column, "unknown_column", message))
    return findings


def _make_row(
    number: int, cells: list[str], header: list[str], known: tuple[str, ...]
) -> Row | Finding:
    if any(cell.strip() for cell in cells[len(header) :]):
        message = (
            f"The row has {len(cells)} cells, the header {len(header)}. "
            "Put text that contains the separator into double quotes."
        )
        return Finding(number, "", "too_many_cells", message)
    found = dict(zip(header, cells, strict=False))
    return Row(number, {column: found.get(column, "").strip() for column in known})


def _duplicate(row: int, column: str, first: int) -> Finding:
    message = f"Row {first} has the same value. Remove one of the two."
    return Finding(row, column, "duplicate_in_file", message)


def _too_many_findings(row: int) -> Finding:
    message = f"There are more than {FINDING_COUNT_MAX} findings. Correct these first."
    return Finding(row, "", "too_many_findings", message)
