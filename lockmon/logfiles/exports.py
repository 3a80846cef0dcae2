"""JSON: CloudNativePG's lines, and the exports of managed services and collectors.

What has PostgreSQL's fields becomes a line of csvlog, what holds a message's text becomes that text.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from lockmon.logfiles import LogFileError
from lockmon.logfiles.streams import CHUNK, LARGEST_RECORD, Counted, Reader

_LISTS = ("events", "logEvents", "records", "entries", "results")
_LIST = re.compile(r'"(?:' + "|".join(_LISTS) + r')"\s*:\s*\[')
_TEXTS = ("textPayload", "log", "@message", "MESSAGE", "message", "LogFileData")
_TIMES = ("timestamp", "@timestamp", "time", "receiveTimestamp", "__REALTIME_TIMESTAMP")
_JSONLOG = re.compile(rb'\{\s*"timestamp"\s*:\s*"[^"]*",[^{}]{0,400}"pid"\s*:')
_BETWEEN = re.compile(r"[\s,:\]}\ufeff]*")
_DECODER = json.JSONDecoder(strict=False)

# csvlog's fields in order, and their names without case, blanks and underscores in the forms that have them
_CSV_FIELDS = (
    ("logtime", "timestamp", "time", "timegenerated"),
    ("username", "user"),
    ("databasename", "dbname", "database"),
    ("processid", "pid"),
    ("connectionfrom", "remotehost"),
    ("sessionid",),
    ("sessionlinenum", "linenum"),
    ("commandtag", "ps"),
    ("sessionstarttime", "sessionstart"),
    ("virtualtransactionid", "vxid"),
    ("transactionid", "txid"),
    ("errorseverity", "errorlevel"),
    ("sqlstatecode", "statecode", "sqlerrcode", "sqlerrorcode"),
    ("message",),
    # Azure has both: what the client was told, and what the log adds to it
    ("detaillog", "detail"),
    ("hint",),
    ("internalquery",),
    ("internalqueryposition", "internalquerypos"),
    ("context",),
    ("query", "statement"),
    ("querypos", "cursorposition"),
    ("location",),
    ("applicationname",),
    ("backendtype",),
    ("leaderpid",),
    ("queryid",),
)
_NUMBERS = (3, 6, 10, 17, 20, 24, 25)


def kind(name: str, text: bytes) -> str | None:
    """jsonlog; json where its entries hold a log; None where it is no JSON. LogFileError where it is JSON of
    another kind."""
    decoded = text.decode("utf-8", "replace")
    if decoded.startswith("["):
        match = re.match(r"\[\s*(?=[{\[\]])", decoded)
        if match is None:
            return None
    if _JSONLOG.match(text):
        return "jsonlog"
    first = next(iter(_entries(_Text(text), Counted())), None)
    if first is None:
        return None
    if isinstance(first, dict) and {"timestamp", "pid"} <= first.keys():
        return "jsonlog" if decoded.startswith("{") else "json"
    if next(iter(_lines_of(first)), None) is None and not _is_known(first):
        raise LogFileError(
            f"{name} is JSON, but of no kind that holds a PostgreSQL log and is read here: export the log as"
            " text, or as its server wrote it."
        )
    return "json"


def lines(reader: Reader, name: str, counted: Counted) -> Iterator[bytes]:
    """The log that a JSON file holds, line by line: csvlog, jsonlog or stderr.

    Raises LogFileError where its entries are newest first, as some exports are: then lines that belong
    together stand in the wrong order.
    """
    times: list[str] = []
    for entry in _entries(reader, counted):
        found = list(_lines_of(entry))
        # what has fields is a record of its own, wherever it stands
        if len(times) < 200 and found and _structured(entry) is None:
            times.append(_time_of(entry))
            ordered = [time for time in times if time]
            if len(ordered) > 1 and ordered[-1] < ordered[0]:
                raise LogFileError(
                    f"{name} has its newest entries first: export it in the order of time"
                    " (gcloud logging read --order=asc; in CloudWatch sort @timestamp asc)."
                )
        yield from found


class _Text:
    """Bytes as a reader."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int, /) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data


def _entries(reader: Reader, counted: Counted) -> Iterator[Any]:
    """Each entry of lines of JSON, of an array, or of an object with a list of them."""
    buffer, ended, inside = "", False, False
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    while True:
        if not ended:
            data = reader.read(CHUNK)
            ended = not data
            buffer += decoder.decode(data, ended)
        place = 0
        while True:
            place = _skip(buffer, place)
            if place >= len(buffer):
                break
            if not inside and buffer[place] == "[":
                inside, place = True, place + 1
                continue
            try:
                entry, place = _DECODER.raw_decode(buffer, place)
            except json.JSONDecodeError:
                # whole lists are not kept: their entries are, one by one
                opened = None if inside else _LIST.search(buffer, place, place + 4096)
                if opened and buffer[place] == "{":
                    inside, place = True, opened.end()
                    continue
                if ended or len(buffer) - place > LARGEST_RECORD:
                    counted.too_long += 1
                    line_end = buffer.find("\n", place)
                    place = len(buffer) if line_end < 0 else line_end + 1
                    continue
                break
            yield from _flat(entry)
        buffer = buffer[place:]
        if ended and not buffer:
            return


def _skip(text: str, place: int) -> int:
    """Past what stands between two entries, or behind the last."""
    found = _BETWEEN.match(text, place)
    return found.end() if found else place


def _flat(entry: Any) -> Iterator[Any]:
    """The entries of a list in an entry (a subscription's batch, Insights' rows of fields)."""
    if isinstance(entry, dict):
        inner = next((entry[key] for key in _LISTS if isinstance(entry.get(key), list)), None)
        if inner is not None:
            for item in inner:
                yield from _flat(item)
            return
    if isinstance(entry, list):
        if entry and all(isinstance(item, dict) and "field" in item for item in entry):
            yield {str(item["field"]): item.get("value") for item in entry}
        else:
            for item in entry:
                yield from _flat(item)
        return
    yield entry


def _is_known(entry: Any) -> bool:
    """Of a kind that is read, though this entry holds no line of PostgreSQL's."""
    return isinstance(entry, dict) and (
        {"level", "logger"} <= entry.keys()
        or {"insertId", "logName"} <= entry.keys()
        or "resourceId" in entry
        or "__REALTIME_TIMESTAMP" in entry
    )


def _structured(entry: Any) -> dict[str, Any] | None:
    """PostgreSQL's fields, by names without case and underscores, where an entry has them."""
    for candidate in _inside(entry):
        fields = {_plain(key): value for key, value in candidate.items()}
        named = fields.keys()
        of_a_process = "message" in named and {"processid", "pid"} & named
        if of_a_process and {"errorseverity", "errorlevel", "sqlstatecode"} & named:
            return fields
    return None


@lru_cache(maxsize=1000)
def _plain(key: str) -> str:
    return re.sub(r"_[sdgt]$", "", key).replace("_", "").lower()


def _inside(entry: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(entry, dict):
        return
    yield entry
    for key in ("record", "jsonPayload", "properties"):
        inner = entry.get(key)
        if isinstance(inner, dict):
            # what the envelope knows, too: Azure's time
            yield from _inside({**{k: entry[k] for k in _TIMES if k in entry}, **inner})


def _lines_of(entry: Any) -> Iterable[bytes]:
    """What an entry holds of the log."""
    fields = _structured(entry)
    if fields is not None:
        return [_csv(fields)]
    if not isinstance(entry, dict):
        return ()
    candidates: list[dict[str, Any]] = [entry]
    if isinstance(entry.get("jsonPayload"), dict):
        candidates.append(entry["jsonPayload"])
    if {"level", "logger"} <= entry.keys():
        return ()
    for candidate in candidates:
        for key in _TEXTS:
            text = candidate.get(key)
            if isinstance(text, list) and all(isinstance(item, int) and 0 <= item < 256 for item in text):
                # journald's way to write what is no UTF-8
                return bytes(text).split(b"\n")
            if isinstance(text, str):
                return text.removesuffix("\n").encode("utf-8", "surrogateescape").split(b"\n")
    return ()


def _csv(fields: dict[str, Any]) -> bytes:
    values = [
        next((fields[name] for name in names if fields.get(name) is not None), "") for names in _CSV_FIELDS
    ]
    values[0] = _log_time(str(values[0]))
    if "errorlevel" in fields and "context" not in fields:
        # Azure's older export lacks the context, and a RAISE shows there alone: without its code a record is
        # claimed, not proven
        values[12] = ""
    severity = str(values[11])
    # Azure's message has the log's prefix and the severity in front
    head = (
        re.match(rf"^\d{{4}}-\d\d-\d\d .{{0,200}}?{re.escape(severity)}:  ", str(values[13]))
        if severity
        else None
    )
    if head:
        values[13] = str(values[13])[head.end() :]
    if not values[4]:
        host, port = fields.get("remotehost"), fields.get("remoteport")
        values[4] = f"{host}:{port}" if host and port else (host or "")
    cells = []
    for place, value in enumerate(values):
        text = "" if value is None else str(value)
        if place in _NUMBERS:
            cells.append(text if re.fullmatch(r"-?\d+", text) else "0" if place in (6, 10) else "")
        elif place in (0, 5, 8, 9, 11, 12):
            cells.append(text.replace(",", " ").replace('"', ""))
        else:
            cells.append('"' + text.replace('"', '""') + '"' if text else "")
    return ",".join(cells).encode("utf-8", "surrogateescape")


def _log_time(text: str) -> str:
    """As csvlog has it: milliseconds and a zone."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+", text):
        return text
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.replace(" UTC", "Z")))
    except ValueError:
        return text
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def _time_of(entry: Any) -> str:
    """A text by which entries can be ordered; empty where there is none."""
    if not isinstance(entry, dict):
        return ""
    value = next((entry[key] for key in _TIMES if entry.get(key) not in (None, "")), "")
    return f"{value:020}" if isinstance(value, int) else str(value)
