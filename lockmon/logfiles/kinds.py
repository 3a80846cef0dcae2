"""What a file is, by its first bytes: never by words, which PostgreSQL writes in the server's language."""

from __future__ import annotations

import re

from lockmon.logfiles import LogFileError, exports

SAMPLE = 256 * 1024
"""Bytes that are looked at."""

# the first five fields: time, user, database, pid
CSV_HEAD = re.compile(
    rb'^(?:\xef\xbb\xbf)?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [^,"\s]+,'
    rb'(?:"(?:[^"]|"")*")?,(?:"(?:[^"]|"")*")?,\d+,',
    re.MULTILINE,
)
STDERR_HEAD = re.compile(rb"^(?!\t).*\S: {2}\S", re.MULTILINE)
"""A line that looks like the beginning of a record: in every language two blanks follow the severity."""

_TIMESTAMP = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)"
LINE_KINDS = {
    "syslog": re.compile(
        rb"^(?:<\d+>)?(?:\d )?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?|" + _TIMESTAMP + rb") "
        rb"(?:\S+ )?[^\s\[\]:]+(?:\[[^\]\s]*\d\]:|: \[\d+-\d+\]| \d+ \S+ (?:-|\[))"
    ),
    "compose": re.compile(rb"^(?:\x1b\[[\d;]*m)*[\w.-]+ +(?:\x1b\[[\d;]*m)*\| ?"),
    "cri": re.compile(rb"^" + _TIMESTAMP + rb" (?:stdout|stderr) [FP](?: |$)"),
    "timestamped": re.compile(rb"^" + _TIMESTAMP + rb" (?=\S)"),
}
"""Kinds of which each line, or each first line, has something in front, the strictest first."""

_MAGIC = (
    (b"PGDMP", "is a dump of pg_dump, not a log"),
    (b"\x89PNG", "is an image, not a log"),
    (b"\xff\xd8\xff", "is an image, not a log"),
    (b"GIF8", "is an image, not a log"),
    (b"PK\x03\x04", "is a zip archive: unpack it, and read the log that is in it"),
    (b"\xfd7zXZ", "is packed with xz: unpack it first (xz -d)"),
    (b"BZh", "is packed with bzip2: unpack it first (bunzip2)"),
    (b"\x28\xb5\x2f\xfd", "is packed with zstd: unpack it first (zstd -d)"),
    (b"\x04\x22\x4d\x18", "is packed with lz4: unpack it first (lz4 -d)"),
    (b"%PDF", "is a PDF, not a log"),
    (b"\x7fELF", "is a program, not a log"),
    (b"SQLite format 3", "is an SQLite database, not a log"),
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_NOT_TEXT = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
GZIP = b"\x1f\x8b"


def kind_of(name: str, sample: bytes) -> str:
    """gzip; one of LINE_KINDS; journal; json (see exports.kind); csvlog, jsonlog or text, which is stderr's
    if a prefix fits. Raises LogFileError where it is none of them."""
    if sample.startswith(GZIP):
        return "gzip"
    text = sample.removeprefix(b"\xef\xbb\xbf").lstrip(b"\x00\r\n \t")
    if not text:
        raise LogFileError(f"{name} is empty.")
    for magic, sentence in _MAGIC:
        if sample.startswith(magic):
            raise LogFileError(f"{name} {sentence}.")
    if sample[257:262] == b"ustar":
        raise LogFileError(f"{name} is a tar archive: unpack it, and read the log that is in it.")
    if sample.startswith(_UTF16) or sample[1:40:2].count(0) > 15 or sample[:40:2].count(0) > 15:
        raise LogFileError(
            f"{name} is in UTF-16: turn it into UTF-8 first (iconv -f UTF-16 -t UTF-8 FILE > NEW)."
        )
    if text[:1] in (b"{", b"["):
        found = exports.kind(name, text)
        if found is not None:
            return found
    if CSV_HEAD.search(text):
        return "csvlog"
    if text.startswith(b"__CURSOR="):
        return "journal"
    first = [line for line in text[:65536].split(b"\n")[:200] if line.strip() and not line.startswith(b"-- ")]
    for kind, pattern in LINE_KINDS.items():
        matching = sum(1 for line in first if pattern.match(line))
        # a statement has lines of its own, and so has what a container prints as it begins
        if (pattern.match(first[0]) and matching * 10 >= len(first)) or matching * 2 > len(first):
            return kind
    if len(_NOT_TEXT.findall(sample)) * 50 > len(sample):
        raise LogFileError(f"{name} is not a PostgreSQL log: it is no text at all.")
    return "text"


def not_a_log(name: str) -> LogFileError:
    """Nothing in it looks like any of the forms."""
    return LogFileError(
        f"{name} is not a PostgreSQL log in a form that can be read"
        " (csvlog, jsonlog, or stderr with a prefix)."
    )
