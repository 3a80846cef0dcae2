"""Exports of what a list selects: CSV, JSON and XLSX, streamed, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone

from ..watched import Watched
from . import words

FORMATS = ("csv", "json", "xlsx")
CHUNK = 500
XLSX_ROWS = 1_048_575
"""Rows that one sheet holds beside its header."""
XLSX_TEXT = 32_767
"""Characters that one cell holds."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - meant


@dataclass(frozen=True)
class Column:
    """One exported column. ``path`` is an ORM path; ``text`` marks query texts, whose literals may be
    hidden."""

    name: str
    path: str
    text: bool = False
    change: Callable[[Any], Any] | None = None


def exported(
    rows: QuerySet[Any],
    columns: Iterable[Column],
    form: str,
    name: str,
    see_text: bool,
    seen: Watched | None = None,
    lasting: tuple[str, str] | None = None,
) -> HttpResponseBase:
    """Return the response that sends these rows; raises DatabaseError before the first byte where it cannot.

    seen: what of the period was watched: its share is a column of every row and a header of the answer.
    lasting: the columns between which a row holds: how many seconds of it were not watched is a column then.
    """
    response = _exported(rows, tuple(columns), form, name, see_text, seen, lasting)
    if seen is not None:
        response["X-Lockmon-Watched-Share"] = "unknown" if seen.share is None else f"{seen.share:.6f}"
    return response


def _exported(
    rows: QuerySet[Any],
    chosen: tuple[Column, ...],
    form: str,
    name: str,
    see_text: bool,
    seen: Watched | None,
    lasting: tuple[str, str] | None,
) -> HttpResponseBase:
    values = rows.values_list(*(column.path for column in chosen))
    data = _clean(values.iterator(chunk_size=CHUNK), chosen, see_text)
    head = [column.name for column in chosen]
    if seen is not None:
        between = None if lasting is None else (head.index(lasting[0]), head.index(lasting[1]))
        head += ["not_watched_seconds"] * (between is not None) + ["period_watched_share"]
        data = _with_watched(data, seen, between)
    file_name = f"{name}-{timezone.localtime():%Y%m%d-%H%M%S}.{form}"
    if form == "csv":
        return _stream(_csv(head, data), "text/csv; charset=utf-8", file_name)
    if form == "json":
        return _stream(_json(head, data), "application/json", file_name)
    return _xlsx(head, data, file_name)


def _clean(rows: Iterable[Any], columns: tuple[Column, ...], see_text: bool) -> Iterator[list[Any]]:
    for row in rows:
        found = []
        for column, value in zip(columns, row, strict=True):
            shown = value
            if column.text and not see_text:
                shown = (
                    [words.hide_literals(item) for item in value]
                    if isinstance(value, list)
                    else words.hide_literals(value)
                )
            found.append(column.change(shown) if column.change else shown)
        yield found


def _with_watched(
    rows: Iterable[list[Any]], seen: Watched, between: tuple[int, int] | None
) -> Iterator[list[Any]]:
    share = None if seen.share is None else round(seen.share, 6)
    for row in rows:
        more: list[Any] = [share]
        if between is not None:
            start, end = row[between[0]], row[between[1]] or seen.end
            missing = seen.missing(start, end) if start is not None else ()
            more = [sum((one.span_end - one.span_start).total_seconds() for one in missing), share]
        yield [*row, *more]


def plain(value: Any) -> Any:
    """Return a value that JSON knows: moments in UTC, arrays as lists, numbers as numbers."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 2**53 else float(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool, dict)):
        return value
    return str(value)


def cell(value: Any) -> Any:
    """Return a value for a spreadsheet: no text can begin a formula, no control characters, numbers stay
    numbers."""
    value = plain(value)
    if isinstance(value, (list, dict)):
        value = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str):
        return value
    text = "".join(letter if letter >= " " or letter in "\t\n\r" else "\ufffd" for letter in value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


class _Echo:
    def write(self, text: str) -> str:
        return text


def _csv(head: list[str], rows: Iterable[list[Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo(), lineterminator="\r\n")
    yield "\ufeff" + str(writer.writerow(head))
    for row in rows:
        yield str(writer.writerow([_bool(cell(value)) for value in row]))


def _bool(value: Any) -> Any:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def _json(head: list[str], rows: Iterable[list[Any]]) -> Iterator[str]:
    yield "["
    first = True
    for row in rows:
        item = dict(zip(head, map(plain, row), strict=True))
        yield ("\n" if first else ",\n") + json.dumps(item, ensure_ascii=False)
        first = False
    yield "\n]\n"


def _stream(chunks: Iterator[str], content_type: str, file_name: str) -> StreamingHttpResponse:
    first = next(chunks)
    second = next(chunks, "")
    response = StreamingHttpResponse(_joined(first + second, chunks), content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{file_name}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _joined(begin: str, chunks: Iterator[str]) -> Iterator[bytes]:
    held, size = [begin], len(begin)
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size > 32_768:
            yield "".join(held).encode("utf-8", "replace")
            held, size = [], 0
    yield "".join(held).encode("utf-8", "replace")


def _xlsx(head: list[str], rows: Iterable[list[Any]], file_name: str) -> FileResponse:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("history")
    sheet.append(head)
    for number, row in enumerate(rows, start=1):
        if number == XLSX_ROWS:
            sheet.append(["Cut here: a sheet holds no more rows. The CSV and JSON exports hold all of them."])
            break
        sheet.append([_sheet_cell(value) for value in row])
    target = tempfile.TemporaryFile()  # noqa: SIM115 - FileResponse closes it
    book.save(target)
    target.seek(0)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return FileResponse(target, as_attachment=True, filename=file_name, content_type=kind)


def _sheet_cell(value: Any) -> Any:
    value = cell(value)
    if not isinstance(value, str):
        return value
    text = "".join(letter if letter >= " " or letter in "\t\n" else "\ufffd" for letter in value)
    text = "".join(
        "\ufffd" if "\ud800" <= letter <= "\udfff" or letter in "\ufffe\uffff" else letter for letter in text
    )
    return text if len(text) <= XLSX_TEXT else text[: XLSX_TEXT - 20] + " … (cut for Excel)"
