"""Lines that a container runtime or a collector has put something in front of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from lockmon.logfiles.kinds import CSV_HEAD, STDERR_HEAD

_COLOUR = re.compile(rb"\x1b\[[\d;]*m")
_COMPOSE = re.compile(rb"^([\w.-]+) +\| ?")
_CRI = re.compile(rb"^\S+ (stdout|stderr) ([FP])(?: |$)")
_TIMESTAMP = re.compile(rb"^\d{4}-\d\d-\d\dT\S+ ")

Unwrap = Callable[[Iterable[bytes]], Iterator[bytes]]


def compose_services(sample: bytes) -> frozenset[bytes]:
    """Those of the services in a log of docker compose that write records of PostgreSQL."""
    heads: Counter[bytes] = Counter()
    others: Counter[bytes] = Counter()
    for line in sample.split(b"\n"):
        found = _COMPOSE.match(_COLOUR.sub(b"", line))
        if found:
            text = line[found.end() :]
            looks_right = STDERR_HEAD.match(text) or CSV_HEAD.match(text) or text.startswith(b'{"')
            (heads if looks_right else others)[found[1]] += 1
    most = max(heads.values(), default=0)
    return frozenset(name for name, count in heads.items() if count * 4 >= most)


def compose(services: frozenset[bytes]) -> Unwrap:
    """docker compose: "db_1  | " in front of each line. services: whose lines are taken."""

    def unwrap(lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            plain = _COLOUR.sub(b"", line)
            found = _COMPOSE.match(plain)
            if found and found[1] in services:
                yield plain[found.end() :]

    return unwrap


def cri(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Kubernetes: time, stream, F for a whole line or P for a part of one."""
    parts: dict[bytes, list[bytes]] = {}
    for line in lines:
        found = _CRI.match(line)
        if not found:
            continue
        stream = found[1]
        parts.setdefault(stream, []).append(line[found.end() :])
        if found[2] == b"F":
            yield b"".join(parts.pop(stream))


def timestamped(lines: Iterable[bytes]) -> Iterator[bytes]:
    """A collector's own time in front of each message (docker logs -t, CloudWatch's export to S3)."""
    for line in lines:
        found = _TIMESTAMP.match(line)
        yield line[found.end() :] if found else line
