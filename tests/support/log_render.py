"""stderr text of any log_line_prefix, made out of csvlog's fields the way PostgreSQL's elog.c makes it.

csvlog holds all that the three formats hold (if verbose, even the place in the source), but
for the words of the server's language before the lines of a record: see tests.support.log_record.WORDS.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

ENGLISH: Mapping[str, str] = {}
"""No words of another language."""
_ESCAPE = re.compile(r"%(-?\d*)(.)|([^%]+)", re.DOTALL)
_PLACE = re.compile(r"(.*), (.*):(\d+)")
TERSE, DEFAULT, VERBOSE = "terse", "default", "verbose"


@dataclass(frozen=True)
class Record:
    """One record of a csvlog; what it does not hold is ''."""

    at: str
    user: str
    database: str
    pid: str
    connection: str
    session: str
    line: str
    ps: str
    session_start: str
    vxid: str
    txid: str
    severity: str
    sqlstate: str
    message: str
    detail: str
    hint: str
    internal_query: str
    internal_position: str
    context: str
    statement: str
    position: str
    place: str
    application: str
    backend_type: str
    leader: str
    query_id: str


def read_csv(data: bytes) -> list[Record]:
    """The records of a csvlog of PostgreSQL 13 or later, in their order."""
    rows = csv.reader(io.StringIO(data.decode(), newline=""))
    return [Record(*(row + [""] * (26 - len(row)))) for row in rows]


def write_csv(records: Iterable[Record]) -> bytes:
    """The records as csvlog of PostgreSQL 14 or later; an empty text is none."""
    bare = {3, 5, 6, 8, 9, 10, 11, 12, 17, 20, 24, 25}

    def field(number: int, value: str) -> str:
        return value if number in bare or not value else '"' + value.replace('"', '""') + '"'

    lines = []
    for record in records:
        values = list(vars(record).values())
        lines.append(",".join([values[0], *(field(i, v) for i, v in enumerate(values) if i)]) + "\n")
    return "".join(lines).encode()


def write_json(records: Iterable[Record]) -> bytes:
    """The records as jsonlog, of the keys that are read."""
    lines = []
    for r in records:
        fields = {
            name: getattr(r, ours)
            for name, ours in (
                ("timestamp", "at"), ("user", "user"), ("dbname", "database"), ("remote_host", "connection"),
                ("session_id", "session"), ("ps", "ps"), ("session_start", "session_start"), ("vxid", "vxid"),
                ("error_severity", "severity"), ("state_code", "sqlstate"), ("message", "message"),
                ("detail", "detail"), ("hint", "hint"), ("context", "context"), ("statement", "statement"),
                ("application_name", "application"), ("backend_type", "backend_type"),
            )
        } | {"pid": int(r.pid), "line_num": int(r.line), "txid": int(r.txid), "query_id": 0}  # fmt: skip
        if r.sqlstate == "00000":
            del fields["state_code"]
        lines.append(json.dumps({k: v for k, v in fields.items() if v != ""}, ensure_ascii=False) + "\n")
    return "".join(lines).encode()


class Renderer:
    """Makes the lines of records; it counts the lines of each process, as %l tells them."""

    def __init__(self, prefix: str, verbosity: str = DEFAULT, words: Mapping[str, str] = ENGLISH) -> None:
        self.prefix = prefix
        self.verbosity = verbosity
        self.words = words
        self.lines: Counter[str] = Counter()

    def _word(self, word: str) -> str:
        return self.words.get(word, word)

    def record(self, r: Record) -> list[str]:
        """The pieces of a record, each with the prefix and a line end; the first one holds the message."""
        code = f"{r.sqlstate}: " if self.verbosity == VERBOSE else ""
        position = ""
        if r.position:
            position = self._word(" at character %d") % int(r.position)
        elif r.internal_position:
            position = self._word(" at internal character %d") % int(r.internal_position)
        parts = [f"{r.severity}:  {code}{_tabbed(r.message)}{position}"]
        if self.verbosity != TERSE:
            named = (("DETAIL:  ", r.detail), ("HINT:  ", r.hint), ("QUERY:  ", r.internal_query))
            parts += [
                self._word(word) + _tabbed(text) for word, text in (*named, ("CONTEXT:  ", r.context)) if text
            ]
        if self.verbosity == VERBOSE and (place := _PLACE.fullmatch(r.place)):
            form = self._word("LOCATION:  %s, %s:%d\n")
            parts.append((form % (place[1], place[2], int(place[3]))).removesuffix("\n"))
        if r.statement:
            parts.append(self._word("STATEMENT:  ") + _tabbed(r.statement))
        return [f"{self.before(r)}{part}\n" for part in parts]

    def text(self, records: Iterable[Record]) -> str:
        """The whole of them."""
        return "".join("".join(self.record(r)) for r in records)

    def before(self, r: Record) -> str:
        """log_line_prefix of one line."""
        self.lines[r.pid] += 1
        made = ""
        for padding, letter, plain in _ESCAPE.findall(self.prefix):
            if plain:
                made += plain
            elif letter == "%":
                made += "%"
            elif letter == "q":
                if not r.connection:
                    break
            else:
                width = int(padding or 0)
                value = self.value(r, letter)
                made += value.ljust(-width) if width < 0 else value.rjust(width)
        return made

    def value(self, r: Record, letter: str) -> str:
        """What one escape stands for; an unknown one for nothing."""
        unknown = self._word("[unknown]") if r.connection else ""
        host, _, port = r.connection.rpartition(":") if r.connection != "[local]" else (r.connection, "", "")
        match letter:
            case "a":
                return r.application or unknown
            case "u":
                return r.user or unknown
            case "d":
                return r.database or unknown
            case "b":
                return r.backend_type
            case "c":
                return r.session
            case "e":
                return r.sqlstate
            case "h":
                return host
            case "r":
                return f"{host}({port})" if port else host
            case "i":
                return r.ps
            case "l":
                return str(self.lines[r.pid])
            case "m":
                return r.at
            case "t":
                return re.sub(r"\.\d+", "", r.at)
            case "n":
                return f"{moment(r).timestamp():.3f}"
            case "p":
                return r.pid
            case "P":
                return r.leader
            case "Q":
                return r.query_id
            case "s":
                return r.session_start
            case "v":
                return r.vxid
            case "x":
                return r.txid
        return ""


def moment(r: Record) -> datetime:
    """When it was logged; for a server whose log_timezone is UTC or GMT."""
    day, time, zone = r.at.split(" ")
    assert zone in ("UTC", "GMT"), f"a record of the zone {zone}"
    return datetime.fromisoformat(f"{day} {time}").replace(tzinfo=UTC)


def _tabbed(text: str) -> str:
    return text.replace("\n", "\n\t")
