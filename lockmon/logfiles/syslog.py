"""Lines of syslog and of the journal: whose they are, when, and the record that PostgreSQL has cut up.

PostgreSQL gives each record a number and each part of it another, [3-1] [3-2]; a part is a line of the
record, or what of a line is beyond 900 bytes. Other processes' lines may stand between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from lockmon.logfiles.kinds import STDERR_HEAD
from lockmon.logfiles.streams import Counted, Reader, lines

_LINE = re.compile(
    rb"^(?:<\d+>)?(?:\d )?(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?|\d{4}-\d\d-\d\dT\S+) "
    rb"(?:[^\s\[\]:]+ )?(?P<ident>[^\s\[\]:]+)"
    rb"(?:\[(?:[^\]\s]*\.)?(?P<pid>\d+)\]: ?|: | (?P<pid5424>\d+) \S+ (?:-|\[.*?\]) ?(?:\xef\xbb\xbf)?)"
    rb"(?P<text>.*)$",
    re.DOTALL,
)
_PART = re.compile(rb"^(?:\[[A-Z_]+\] )?\[(\d+)-(\d+)\] ?")
_OWN_TIME = re.compile(rb"^\W{0,3}(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d{10}\.\d{3})")
_ESCAPED = ((b"#012#011", b"\n\t"), (b"#012", b"\n\t"), (b"#011", b"\t"), (b"#015", b"\r"))
_LONG_PART = 600
"""Bytes of a part from which the next may go on within its line; PostgreSQL cuts at a blank before 900."""
_MOST_OPEN = 500
"""Records that may be unfinished at once."""
_MONTHS = {
    name: number
    for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)
}


@dataclass
class Line:
    """One line of syslog, or one entry of the journal."""

    moment: datetime | None
    ident: bytes
    pid: int
    text: bytes


@dataclass
class _Record:
    number: bytes
    lines: list[bytes] = field(default_factory=list)
    last_part: int = 0


def has_own_time(sample: Iterable[Line]) -> bool:
    """Whether PostgreSQL's own prefix, in front of the message, has the time."""
    for line in sample:
        text = _PART.sub(b"", line.text)
        if _is_postgres(line) and STDERR_HEAD.match(text):
            return _OWN_TIME.match(text) is not None
    return True


def syslog(reader: Reader, counted: Counted, newest: datetime, zone: tzinfo) -> Iterator[Line]:
    """Lines of syslog (traditional, ISO, RFC 5424), or of journalctl as text. newest: no line is later, which
    gives the year; zone: where a line does not say one."""
    last: Line | None = None
    for raw in lines(reader, counted, keep_tail=True):
        found = _LINE.match(raw)
        if found is None:
            # journalctl indents what goes on in one message
            if last is not None and raw[:1] in b" \t" and raw.strip():
                inner = raw.strip(b" ")
                yield Line(last.moment, last.ident, last.pid, b"\t" + inner.removeprefix(b"\t"))
            continue
        pid = int(found["pid"] or found["pid5424"] or 0)
        last = Line(_moment(found["time"], newest, zone), found["ident"], pid, found["text"])
        yield last


def journal(reader: Reader) -> Iterator[Line]:
    """Entries of "journalctl -o export"."""
    fields: dict[bytes, bytes] = {}
    buffer = b""
    ended = False
    while True:
        end = buffer.find(b"\n")
        if end < 0 and not ended:
            data = reader.read(256 * 1024)
            ended = not data
            buffer += data
            continue
        line, buffer = (buffer[:end], buffer[end + 1 :]) if end >= 0 else (buffer, b"")
        if b"=" in line:
            name, _, value = line.partition(b"=")
            fields[name] = value
        elif line:
            # a value with line ends: its length in eight bytes, then as many
            while len(buffer) < 8 and (data := reader.read(256 * 1024)):
                buffer += data
            size = int.from_bytes(buffer[:8], "little")
            while len(buffer) < size + 9 and (data := reader.read(256 * 1024)):
                buffer += data
                if size > 16 * 1024 * 1024:
                    return
            fields[line] = buffer[8 : 8 + size]
            buffer = buffer[9 + size :]
        elif fields:
            yield from _entry(fields)
            fields = {}
        if ended and not buffer:
            if fields:
                yield from _entry(fields)
            return


def _entry(fields: dict[bytes, bytes]) -> Iterator[Line]:
    stamp = fields.get(b"_SOURCE_REALTIME_TIMESTAMP") or fields.get(b"__REALTIME_TIMESTAMP") or b""
    moment = datetime.fromtimestamp(int(stamp) / 1_000_000, UTC) if stamp.isdigit() else None
    pid = fields.get(b"SYSLOG_PID") or fields.get(b"_PID") or b"0"
    ident = fields.get(b"SYSLOG_IDENTIFIER") or fields.get(b"_COMM") or b""
    first, *others = fields.get(b"MESSAGE", b"").split(b"\n")
    for text in (first, *(b"\t" + other.removeprefix(b"\t") for other in others)):
        yield Line(moment, ident, int(pid) if pid.isdigit() else 0, text)


def records(source: Iterable[Line], own_time: bool) -> Iterator[bytes]:
    """The lines of a stderr log. own_time: the messages have a prefix with the time; otherwise each gets
    "time [pid] " in front, so that log_line_prefix begins with "%m [%p] "."""
    pending: dict[int, _Record] = {}
    for line in source:
        if not _is_postgres(line):
            continue
        found = _PART.match(line.text)
        # control characters are escaped on their way through a syslog daemon
        text = line.text[found.end() if found else 0 :]
        for escaped, plain in _ESCAPED:
            text = text.replace(escaped, plain)
        number, part = (found[1], int(found[2])) if found else (b"", 0)
        open_one = pending.get(line.pid)
        if open_one is not None and (open_one.number != number or part == 1):
            yield from pending.pop(line.pid).lines
            open_one = None
        if not found:
            yield from _with_head(text, line, own_time)
            continue
        if open_one is None:
            open_one = pending[line.pid] = _Record(number)
        if text.startswith(b"\t"):
            open_one.lines.append(text)
        elif part > 1 and open_one.last_part >= _LONG_PART and not re.match(rb".{0,300}?\S: {2}\S", text):
            open_one.lines[-1] += text
        else:
            open_one.lines += _with_head(text, line, own_time)
        open_one.last_part = len(text)
        if len(pending) > _MOST_OPEN or sum(map(len, open_one.lines[-1:])) > 1024 * 1024:
            yield from pending.pop(next(iter(pending))).lines
    for record in pending.values():
        yield from record.lines


def _with_head(text: bytes, line: Line, own_time: bool) -> list[bytes]:
    if own_time or text.startswith(b"\t"):
        return text.split(b"\n")
    stamp = "" if line.moment is None else line.moment.isoformat(" ", "milliseconds")
    stamp = stamp[:-6] + " " + stamp[-6:]
    return (f"{stamp} [{line.pid}] ".encode() + text).split(b"\n")


def _is_postgres(line: Line) -> bool:
    return b"postgres" in line.ident or b"postmaster" in line.ident or _PART.match(line.text) is not None


@lru_cache(maxsize=1000)
def _moment(text: bytes, newest: datetime, zone: tzinfo) -> datetime | None:
    word = text.decode("ascii", "replace")
    try:
        if word[0].isdigit():
            moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", word))
            return moment if moment.tzinfo else moment.replace(tzinfo=zone)
        month = _MONTHS.get(text[:3], 0)
        day, clock = int(word[4:6]), word[7:]
        for year in (newest.year, newest.year - 1):
            try:
                moment = datetime.fromisoformat(f"{year}-{month:02}-{day:02} {clock}").replace(tzinfo=zone)
            except ValueError:
                # 29 February
                continue
            if moment <= newest + timedelta(days=1):
                return moment
    except ValueError:
        pass
    return None
