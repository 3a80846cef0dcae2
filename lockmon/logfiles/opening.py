"""From a file to one of the three forms: what it is, step by step, and the way to read it again.

A step is an envelope (gzip, syslog, JSON ...) that is taken off. Each time it is read it begins at the
beginning of the file, so that a position counts bytes of what comes out, whatever went in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import partial
from itertools import islice
from typing import IO

from lockmon.logfiles import LogFileError, envelopes, exports, kinds, streams, syslog
from lockmon.logfiles.streams import Counted, Joined, Reader

KINDS = ("csvlog", "jsonlog", "stderr", "syslog", "journal", "compose", "cri", "timestamped", "json")
"""What a file may be named; gzip is always recognised."""
_DEEPEST = 5

Step = Callable[[Reader], Reader]


@dataclass(frozen=True)
class OpenedLog:
    """A log in one of the three forms.

    came_as: the envelopes that were taken off, the outermost first. synthetic: its lines have "time [pid] "
    of syslog in front, before the rest of its prefix. moved: what came out earlier may come out in another
    order when the file has grown, so that it is read from the beginning each time. counted: what was too
    long for any record, as far as it has been read.
    """

    log_format: str
    sample: bytes
    came_as: tuple[str, ...]
    synthetic: bool
    moved: bool
    counted: Counted
    reread: Callable[[], Reader]


@dataclass
class Settings:
    """What the steps need to know. unpacked_limit: bytes, None for no other limit than the ratio. newest: the
    moment after which nothing in the file can be; zone: a function, because only syslog asks for it."""

    named: str | None
    unpacked_limit: int | None
    newest: datetime
    zone: Callable[[], tzinfo]
    grows: bool


def open_log(stream: IO[bytes], name: str, settings: Settings) -> OpenedLog:
    """Find out what a file is. Raises LogFileError with a sentence where it is no log."""
    steps: list[Step] = []
    came_as: list[str] = []
    counted = Counted()
    synthetic = moved = False

    def reread() -> Reader:
        stream.seek(0)
        counted.too_long = 0
        reader: Reader = stream
        for step in steps:
            reader = step(reader)
        return reader

    while len(came_as) < _DEEPEST:
        sample = reread().read(kinds.SAMPLE)
        named = settings.named
        found = kinds.kind_of(name, sample) if sample else ""
        if not found:
            raise LogFileError(
                f"{name} is empty." if not came_as else f"{name} holds no line of a PostgreSQL log."
            )
        if named == "stderr" and found in kinds.LINE_KINDS:
            # a prefix may look like one of them: the prefix decides
            found = "text"
        if named in KINDS[3:] and named not in came_as and found != "gzip":
            _require(name, named, found)
            found = named
        if found in ("csvlog", "jsonlog", "text") or (named in KINDS[:3] and found != "gzip"):
            return OpenedLog(
                _form(name, found, named if not came_as or named in KINDS[:3] else None),
                sample,
                tuple(came_as),
                synthetic,
                moved,
                counted,
                reread,
            )
        came_as.append(found)
        step: Step
        if found == "gzip":
            step = partial(streams.Unpacked, name=name, limit=settings.unpacked_limit)
            # damage shows at the end, and nothing shall have been stored by then
            streams.read_through(step(_begin(reread)))
        elif found == "json":
            step = partial(_json, name=name, counted=counted)
        elif found in ("syslog", "journal"):
            parsed = partial(_parsed, found, counted, settings)
            own_time = syslog.has_own_time(islice(parsed(_begin(reread)), 2000))
            synthetic, moved = not own_time, True
            step = partial(_syslog, parsed, own_time)
        else:
            services = envelopes.compose_services(sample) if found == "compose" else frozenset()
            unwrap = {"compose": envelopes.compose(services), "cri": envelopes.cri}.get(
                found, envelopes.timestamped
            )
            keep_tail = not settings.grows or "gzip" in came_as
            step = partial(_unwrapped, unwrap, counted, keep_tail)
        steps.append(step)
    raise kinds.not_a_log(name)


def _begin(reread: Callable[[], Reader]) -> Reader:
    return reread()


def _json(reader: Reader, name: str, counted: Counted) -> Reader:
    return Joined(exports.lines(reader, name, counted))


def _parsed(kind: str, counted: Counted, settings: Settings, reader: Reader) -> Iterator[syslog.Line]:
    if kind == "journal":
        return syslog.journal(reader)
    return syslog.syslog(reader, counted, settings.newest, settings.zone())


def _syslog(parsed: Callable[[Reader], Iterable[syslog.Line]], own_time: bool, reader: Reader) -> Reader:
    return Joined(syslog.records(parsed(reader), own_time))


def _unwrapped(unwrap: envelopes.Unwrap, counted: Counted, keep_tail: bool, reader: Reader) -> Reader:
    return Joined(unwrap(streams.lines(reader, counted, keep_tail)))


def _require(name: str, named: str, found: str) -> None:
    if named != found:
        raise _other(name, named, found)


def _form(name: str, found: str, named: str | None) -> str:
    """The format, checked against the one that was named."""
    form = "stderr" if found == "text" else found
    if named in KINDS[:3] and named != form:
        raise _other(name, str(named), form)
    return form


def _other(name: str, named: str, found: str) -> LogFileError:
    looks = {"text": "stderr"}.get(found, found)
    if named != "stderr" and looks == "stderr":
        return LogFileError(
            f"{name} is no {named}: it does not begin as one. Leave --format out, or name what it is."
        )
    return LogFileError(f"{name} is no {named}: it looks like {looks}. Leave --format out, or say {looks}.")


def until(moment: float | None) -> datetime:
    """The moment after which nothing in a file can be: when it was changed last, else now."""
    return datetime.now(UTC) if moment is None else datetime.fromtimestamp(moment, UTC)
