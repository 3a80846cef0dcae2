"""How the pages say things: durations, counts, times, severity, and text that came from strangers."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from ..literals import hide_literals as hide_literals
from ..literals import shape_of as shape_of

MAX_TEXT = 20_000
"""Characters of one hostile text that a page shows; exports give all of it."""

SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
SHAPES = {"CRITICAL": "◆", "HIGH": "▲", "MEDIUM": "■", "LOW": "●"}
RANK = {"CRITICAL": 4, "HIGH": 3, "MEDIUM": 2, "LOW": 1}

KINDS = {
    "idle_in_transaction": "idle in transaction",
    "idle_in_transaction_aborted": "idle in a failed transaction",
    "idle_session_lock": "idle, holds a session lock",
    "advisory_lock": "holding an advisory lock",
    "active": "running a query",
    "long_query": "long query",
    "running_ddl": "running DDL",
    "holds_table_lock": "running, holds a table lock",
    "concurrent_ddl": "running DDL with CONCURRENTLY",
    "maintenance": "running VACUUM or ANALYZE",
    "client_not_reading": "waiting for its client to read",
    "client_not_sending": "waiting for its client to send",
    "waits_for_standby": "committed, waiting for its standby",
    "queued_ddl": "QUEUED DDL",
    "waiting": "waiting itself",
    "prepared_transaction": "prepared transaction",
    "autovacuum": "autovacuum",
    "autovacuum_wraparound": "autovacuum against wraparound",
    "apply": "applying a subscription",
    "replication": "replication or base backup",
    "recovery": "replaying the primary",
    "background": "background process",
    "logging_in": "a connection that has not logged in yet",
    "unknown": "not shown what it does",
}

ENDINGS = {
    "granted": "got the lock",
    "released": "ended by its own client",
    "cancelled": "cancelled",
    "lock timeout": "ended by lock_timeout",
    "deadlock": "ended by a deadlock",
    "terminated": "terminated",
    "session gone": "the session ended",
    "server restarted": "the server was restarted",
    "unknown": "unknown",
}

Number = int | float | Decimal

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
    "|[\U000e0000-\U000e007f]"
)
_SQL_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?(?:\*/|$))|(?P<string>'(?:[^']|'')*'?)|(?P<number>\b\d+(?:\.\d+)?\b)|(?P<word>[A-Za-z_]\w*)",
    re.S,
)
_KEYWORDS = frozenset(
    [
        "ADD",
        "ALL",
        "ALTER",
        "ANALYZE",
        "AND",
        "AS",
        "ASC",
        "BEGIN",
        "BETWEEN",
        "BY",
        "CASE",
        "CLUSTER",
        "COLUMN",
        "COMMIT",
        "CONCURRENTLY",
        "COPY",
        "CREATE",
        "CROSS",
        "CURRENT",
        "DEFAULT",
        "DELETE",
        "DESC",
        "DISTINCT",
        "DO",
        "DROP",
        "ELSE",
        "END",
        "EXCEPT",
        "EXECUTE",
        "EXISTS",
        "FOR",
        "FROM",
        "FULL",
        "GROUP",
        "HAVING",
        "IN",
        "INDEX",
        "INNER",
        "INSERT",
        "INTO",
        "IS",
        "JOIN",
        "KEY",
        "LATERAL",
        "LEFT",
        "LIKE",
        "LIMIT",
        "LOCK",
        "MATERIALIZED",
        "MODE",
        "MERGE",
        "NOT",
        "NOWAIT",
        "NULL",
        "OFFSET",
        "ON",
        "OR",
        "ORDER",
        "OUTER",
        "PREPARE",
        "PREPARED",
        "PRIMARY",
        "REFERENCES",
        "REFRESH",
        "REINDEX",
        "RETURNING",
        "RIGHT",
        "ROLLBACK",
        "ROW",
        "SELECT",
        "SET",
        "SHARE",
        "SKIP",
        "TABLE",
        "THEN",
        "TO",
        "TRANSACTION",
        "TRUNCATE",
        "UNION",
        "UNIQUE",
        "UPDATE",
        "USING",
        "VACUUM",
        "VALUES",
        "VIEW",
        "WHEN",
        "WHERE",
        "WITH",
    ]
)


def visible(text: object, limit: int = MAX_TEXT) -> str:
    """Return text with control, bidi and zero-width characters made visible as U+202E, cut at ``limit``."""
    raw = "" if text is None else str(text)
    cut = len(raw) > limit
    raw = _INVISIBLE.sub(lambda match: f"‹U+{ord(match.group()):04X}›", raw[:limit])  # noqa: RUF001 - meant
    return raw + (" … (cut for this page)" if cut else "")


def one_line(text: object, limit: int = 110) -> str:
    """Return text on one line, safe to show, at most ``limit`` characters and an ellipsis."""
    raw = " ".join(("" if text is None else str(text)[: limit * 8]).split())
    shown = visible(raw, MAX_TEXT)
    return shown if len(shown) <= limit else shown[: limit - 1].rstrip() + "…"


def highlight_sql(text: object) -> SafeString:
    """Return a statement as safe HTML, keywords, literals and comments in spans; made for at most 20,000
    characters."""
    raw = visible(text)
    parts: list[str] = []
    end = 0
    for match in _SQL_TOKEN.finditer(raw):
        parts.append(html.escape(raw[end : match.start()]))
        token, end = html.escape(match.group()), match.end()
        if match.lastgroup == "word":
            parts.append(f'<b class="kw">{token}</b>' if token.upper() in _KEYWORDS else token)
        elif match.lastgroup == "string":
            parts.append(f'<span class="lit">{token}</span>')
        elif match.lastgroup == "number":
            parts.append(f'<span class="num">{token}</span>')
        else:
            parts.append(f'<i class="com">{token}</i>')
    parts.append(html.escape(raw[end:]))
    return mark_safe("".join(parts))  # noqa: S308 - every part was escaped above


def _to_the_microsecond(seconds: Number) -> float:
    """Return seconds, not negative, as exact as PostgreSQL's times are: a difference of two of them may be
    3599.9999999995, which is an hour."""
    return max(0.0, round(float(seconds), 6))


def duration(seconds: Number | None) -> str:
    """Return seconds in words: "0.4 s", "6 min 12 s", "2 h 14 min", "3 d 4 h"; "unknown" for None."""
    if seconds is None:
        return "unknown"
    value = _to_the_microsecond(seconds)
    if value < 10 and value != int(value):
        return f"{value:.1f} s"
    whole = int(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def clock(seconds: Number | None) -> str:
    """Return seconds for a table column: "0:04", "6:12", "2:14:00"; "unknown" for None."""
    if seconds is None:
        return "unknown"
    whole = int(_to_the_microsecond(seconds))
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def span(least: float, most: float) -> str:
    """Return what is known to lie between two numbers of seconds: "between 1.2 and 2.1 s", or "1.23 s" where
    they are the same."""
    if most < 60:
        if f"{least:.2f}" == f"{most:.2f}":
            return f"{least:.2f} s"
        return f"between {math.floor(least * 10) / 10:.1f} and {math.ceil(most * 10) / 10:.1f} s"
    first, last = duration(least), duration(most)
    return first if first == last else f"between {first} and {last}"


def count(number: int | None) -> str:
    """Return a count with separators, "unknown" for None."""
    return "unknown" if number is None else f"{number:,}"


def some(number: int, one: str, many: str | None = None) -> str:
    """Return "1 session", "38 sessions"."""
    return f"{number:,} {one if number == 1 else (many or one + 's')}"


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Return the seconds from start to end, never negative; None where one of them is unknown."""
    if start is None or end is None:
        return None
    return max(0.0, (end - start).total_seconds())


def moment(value: datetime | None, style: str = "long") -> SafeString:
    """Return a ``<time>`` element: server's zone as text, UTC on hover; the page's script shows the reader's
    zone.

    ``style`` is "long" (date and time), "short" (without the year), "time" (time of day) or "minute".
    """
    if value is None:
        return format_html('<span class="unknown" title="{}">unknown</span>', "PostgreSQL did not say")
    utc = value.astimezone(UTC)
    shape = {"time": "%H:%M:%S", "minute": "%d %b %H:%M", "short": "%d %b %H:%M:%S"}.get(
        style, "%Y-%m-%d %H:%M:%S"
    )
    return format_html(
        '<time datetime="{}" data-style="{}" title="{} UTC">{}</time>',
        utc.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        style,
        utc.strftime("%Y-%m-%d %H:%M:%S"),
        timezone.localtime(value).strftime(shape),
    )


def severity_badge(severity: str | None) -> SafeString:
    """Return a severity as a word with a shape; colour only in addition."""
    if severity not in SHAPES:
        return mark_safe("")
    return format_html(
        '<span class="sev sev-{}"><span aria-hidden="true">{}</span> {}</span>',
        severity.lower(),
        SHAPES[severity],
        severity,
    )


def worst(severities: Iterable[str | None]) -> str | None:
    """Return the highest severity by rank, None where there is none."""
    known = [item for item in severities if item in RANK]
    return max(known, key=RANK.__getitem__) if known else None


def article(kind: str | None) -> str:
    """Return what a blocker is, in words."""
    return KINDS.get(kind or "", kind or "unknown")


def printable_name(text: str | None, fallback: str = "(no name)") -> str:
    """Return a user's or application's name on one line, or the fallback where it is empty."""
    name = one_line(text, 60)
    return unicodedata.normalize("NFC", name) if name else fallback
