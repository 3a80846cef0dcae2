"""What cannot be read is one sentence, by the command and on the page; nothing of it is stored."""

from __future__ import annotations

import gzip
import json
import os
import resource
import zlib
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from lockmon import vault
from lockmon.calls import deadlocks as calls
from lockmon.logfiles import LogFileError, streams
from lockmon.monitor import logs
from lockmon.monitor.log_pieces import PIECE
from tests.app.test_log_files import OTHER, RECORD
from tests.app.test_log_upload import ONE, STDERR, sentences, stored, upload
from tests.support.people import browser, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

RECORDED = Path(__file__).parents[1] / "data" / "log"
RECORDED_PREFIX = "%m [%p] "
NGINX = b'10.0.0.7 - - [20/Nov/2026:03:12:01 +0000] "GET /a HTTP/1.1" 200 612 "-" "curl/8.5.0"\n' * 50
NGINX_ERROR = b"2026/11/20 03:12:01 [error] 12#12: *1 open() failed (2: No such file), client: 10.0.0.7\n" * 9
MYSQL = (
    b"2026-11-20T03:12:01.123456Z 0 [System] [MY-010116] [Server] mysqld (mysqld 8.0.36) starting\n"
    b"2026-11-20T03:12:02.123456Z 8 [Note] [MY-012468] [InnoDB] Transactions deadlock detected.\n"
) * 20
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 50
DUMP = b"PGDMP\x01\x0e\x00\x04\x08\x01" + bytes(range(256)) * 50
BAD = {
    "an image": (PNG, "is an image, not a log"),
    "a dump": (DUMP, "is a dump of pg_dump, not a log"),
    "binary": (bytes(range(256)) * 400, "is not a PostgreSQL log: it is no text at all"),
    "random": (zlib.compress(os.urandom(9000)), "is not a PostgreSQL log"),
    "nginx": (NGINX, "is not a PostgreSQL log"),
    "nginx's errors": (NGINX_ERROR, "is not a PostgreSQL log"),
    "mysql": (MYSQL, "is not a PostgreSQL log"),
    "json": (b'{"a": 1}\n{"a": 2}\n', "is JSON, but of no kind that holds a PostgreSQL log"),
    "another's json": (b'{"level":"info","message":"hello"}\n' * 9, "is not a PostgreSQL log"),
    "half an object": (b'{"timestamp"', "is not a PostgreSQL log"),
    "empty": (b"", "is empty"),
    "blank": (b"\n \n\x00\x00", "is empty"),
    "utf-16": (ONE.decode().encode("utf-16"), "is in UTF-16"),
    "utf-16 without a mark": (ONE.decode().encode("utf-16-le"), "is in UTF-16"),
    "half a record": (RECORD.format(second=1, pid=11).encode()[:200], "the beginning of one record"),
    "half a record of stderr": (STDERR[:70], "the beginning of one record"),
    "half a line of stderr": (STDERR[:50], "the beginning of one record"),
    "half a record of jsonlog": (
        b'{"timestamp":"2026-11-22 03:12:41.500 UTC","pid":11,"error_severity":"ERR',
        "the beginning of one record",
    ),
    "truncated gzip": (gzip.compress(ONE * 50)[:-20], "is cut short: its compressed data has no end"),
    "damaged gzip": (gzip.compress(ONE)[:10] + b"\xff" * 300, "is damaged: it cannot be unpacked"),
    "damaged at its end": (gzip.compress(ONE)[:-8] + b"\x00" * 8, "is damaged: it cannot be unpacked"),
    "gzip of nothing": (gzip.compress(b""), "holds no line of a PostgreSQL log"),
    "gzip of an image": (gzip.compress(PNG), "is an image, not a log"),
    "zstd": (b"\x28\xb5\x2f\xfd" + b"x" * 90, "unpack it first (zstd -d)"),
    "tar": (b"log".ljust(257, b"\x00") + b"ustar\x0000" + b"x" * 300, "is a tar archive"),
}


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("lockmon_read_log", *arguments, stdout=out)
    return out.getvalue()


def refused(*arguments: str) -> str:
    """The sentence of a command that fails."""
    with pytest.raises(CommandError) as failure:
        run(*arguments)
    assert failure.value.returncode == 1
    said = str(failure.value)
    assert "Traceback" not in said and "\n" not in said and said.endswith(".")
    return said


def test_what_is_no_log_is_one_sentence(vault_db: str, tmp_path: Path) -> None:
    use_app_login()
    dba = browser("dba")
    path = tmp_path / "server.log"
    for case, (content, sentence) in BAD.items():
        path.write_bytes(content)
        assert sentence in refused(str(path)), case
        [said] = sentences(upload(dba, content, "server.log"))
        assert sentence in said and "0 new records" not in said, case
    assert stored(vault_db) == (0, 0)


def test_what_is_no_file_is_one_sentence(vault_db: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "is a pipe, not a file" in refused(str(pipe))
    assert "is a device, not a file" in refused("/dev/zero")
    assert "is a folder" in refused(str(tmp_path))
    assert "does not exist" in refused(str(tmp_path / "missing.log"))
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert "cannot be read" in refused(str(loop))
    long = tmp_path / ("x" * 300)
    assert "cannot be read" in refused(str(long))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_one_sentence(vault_db: str, tmp_path: Path) -> None:
    path = tmp_path / "server.csv"
    path.write_bytes(ONE)
    path.chmod(0)
    assert "may not be read by this user" in refused(str(path))


WRONG_FORMAT = (
    (ONE, "jsonlog", "is no jsonlog: it looks like csvlog"),
    (ONE, "stderr", "is no stderr: it looks like csvlog"),
    (STDERR, "csvlog", "is no csvlog: it does not begin as one"),
    (STDERR, "syslog", "is no syslog: it does not begin as one"),
    (ONE, "json", "is no json: it looks like csvlog"),
)


def test_a_wrong_format_is_one_sentence(vault_db: str, tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    for content, named, sentence in WRONG_FORMAT:
        for packed in (content, gzip.compress(content)):
            path.write_bytes(packed)
            assert sentence in refused("--format", named, str(path))
    assert stored(vault_db) == (0, 0)


def test_a_log_of_stderr_is_known_by_its_prefix_not_by_its_words(vault_db: str, tmp_path: Path) -> None:
    """And one with another prefix is told apart from what is no log at all."""
    path = tmp_path / "server.log"
    for severity in ("오류", "ОШИБКА", "FEL", "ПОМИЛКА", "错误", "FEHLER"):
        path.write_text(f"2026-11-20 03:12:01.123 UTC [11] {severity}:  x\n" * 20)
        assert "new records about locks" in run("--prefix", "%m [%p] ", str(path))
        said = refused("--prefix", "%m [%p] %u ", str(path))
        assert "The log_line_prefix does not fit: of 20 lines" in said and "--prefix" in said


def test_a_failure_leaves_the_others_read(vault_db: str, tmp_path: Path) -> None:
    good, bad = tmp_path / "a.csv", tmp_path / "b.csv"
    good.write_bytes(ONE)
    bad.write_bytes(PNG)
    out = StringIO()
    with pytest.raises(CommandError, match="is an image"):
        call_command("lockmon_read_log", "--json", str(bad), str(good), stdout=out)
    [read] = json.loads(out.getvalue())
    assert read["records"] == 1
    assert stored(vault_db) == (1, 1)


class Bomb:
    """Zeros, packed a thousand times over and over."""

    def __init__(self) -> None:
        packer = zlib.compressobj(9, wbits=31)
        self._head = packer.compress(OTHER.encode())
        self._body = packer.compress(b" " * 64 * 1024 * 1024) + packer.flush(zlib.Z_FULL_FLUSH)

    def read(self, size: int, /) -> bytes:
        head, self._head = self._head, b""
        return head or self._body


def test_a_bomb_is_not_unpacked() -> None:
    with pytest.raises(LogFileError, match="unpacks to more than 300 times its size"):
        streams.read_through(streams.Unpacked(Bomb(), "x.gz", None))
    with pytest.raises(LogFileError, match="unpacks to more than 1 MB"):
        streams.read_through(streams.Unpacked(Bomb(), "x.gz", 1024**2))


def test_a_bomb_is_not_unpacked_on_the_page(vault_db: str) -> None:
    use_app_login()
    bomb = gzip.compress(ONE + b" " * 200 * 1024 * 1024)
    [said] = sentences(upload(browser("dba"), bomb, "server.csv.gz"))
    assert "unpacks to more than" in said
    assert stored(vault_db) == (0, 0)


class Endless:
    """A log with a line of a gigabyte in it, which is nowhere as a whole."""

    def __init__(self, size: int) -> None:
        after = b"\n" + RECORD.format(second=2, pid=21).encode()
        self._parts: list[bytes | int] = [ONE, size, after]
        self._place = 0
        self._lengths = [len(part) if isinstance(part, bytes) else part for part in self._parts]

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset if whence == 0 else sum(self._lengths) + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:
        found, start = b"", self._place
        for part, length in zip(self._parts, self._lengths, strict=True):
            if start < length and len(found) < size:
                end = min(length, start + size - len(found))
                found += part[start:end] if isinstance(part, bytes) else b"x" * (end - start)
            start = max(0, start - length)
        self._place += len(found)
        return found


def test_a_line_of_a_gigabyte_costs_no_memory(vault_db: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stream: Any = Endless(1024**3)
    read = logs.read_stream(stream, "huge.csv", lambda: vault.admin_transaction("vault"), prefix=None)
    assert (read.records, read.unreadable) == (2, 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024, "kilobytes"


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have something happen after the first piece of a file was sent."""

    def do(act: Callable[[], object]) -> None:
        ingest = calls.ingest_log
        acts = [act]

        def and_act(*given: Any) -> Any:
            taken = ingest(*given)
            if acts:
                acts.pop()()
            return taken

        monkeypatch.setattr(calls, "ingest_log", and_act)

    return do


def big(path: Path) -> None:
    path.write_bytes(
        ONE + OTHER.encode() * (3 * PIECE // len(OTHER)) + RECORD.format(second=2, pid=21).encode()
    )


def test_a_file_that_is_cut_while_it_is_read_says_so(
    vault_db: str, tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    path = tmp_path / "server.csv"
    big(path)
    meanwhile(lambda: os.truncate(path, 500))
    said = refused(str(path))
    assert "was cut while it was read" in said and "1 new records of those are stored" in said
    path.write_bytes(RECORD.format(second=3, pid=31).encode())
    assert run(str(path)).startswith("1 new records")


def test_a_file_that_is_written_anew_while_it_is_read_says_so(
    vault_db: str, tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    path = tmp_path / "server.csv"
    big(path)
    other = OTHER.replace("03:11", "03:10").encode()
    meanwhile(lambda: path.write_bytes(other * (4 * PIECE // len(other))))
    assert "was written anew while it was read" in refused(str(path))
    assert run(str(path)).startswith("0 new records about locks in 4")


def test_a_file_whose_name_is_given_to_another_is_read_to_its_end(
    vault_db: str, tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    path = tmp_path / "server.csv"
    big(path)

    def rotate() -> None:
        path.rename(tmp_path / "server.csv.1")
        path.write_bytes(RECORD.format(second=3, pid=31).encode())

    meanwhile(rotate)
    said = run(str(path))
    assert said.startswith("2 new records") and "Another file was given its name meanwhile" in said
    assert run(str(path)).startswith("1 new records")


def test_the_vault_s_own_memory_of_a_file_survives_what_is_bad(vault_db: str, tmp_path: Path) -> None:
    path = tmp_path / "server.csv"
    path.write_bytes(ONE)
    run(str(path))
    refused("--format", "jsonlog", str(path))
    assert "read on from byte" in run(str(path))
    with psycopg.connect(vault_db) as connection:
        rows = connection.execute("SELECT count(*) FROM lock_log.source").fetchone()
    assert rows == (1,)


def test_unpacking_gives_what_was_packed() -> None:
    """Members one after another, zeros behind them, whatever is read at once."""
    packed = gzip.compress(ONE) + gzip.compress(STDERR) + b"\x00" * 700
    for size in (1, 7, 100_000):
        reader = streams.Unpacked(BytesIO(packed), "x.gz", None)
        found = []
        while part := reader.read(size):
            found.append(part)
        assert b"".join(found) == ONE + STDERR


LANGUAGES = sorted(path.stem for path in RECORDED.glob("*.log"))


def test_what_servers_wrote_in_twelve_languages_is_known(vault_db: str, tmp_path: Path) -> None:
    """By the prefix: plain, in Kubernetes' lines, in syslog; with another prefix it is said that it is
    another."""
    assert len(LANGUAGES) == 12
    for language in LANGUAGES:
        text = (RECORDED / f"{language}.log").read_bytes()
        lines = text.removesuffix(b"\n").split(b"\n")
        cri = b"".join(b"2026-11-22T03:12:41.123Z stderr F " + line + b"\n" for line in lines)
        syslog = b"".join(
            b"Nov 22 03:12:41 db1 postgres[%d]: %s\n"
            % (7, line.replace(b"\t", b"#011").replace(b"\r", b"#015"))
            for line in lines
        )
        found = []
        for content in (text, cri, syslog):
            path = tmp_path / "server.log"
            path.write_bytes(content)
            with psycopg.connect(vault_db, autocommit=True) as connection:
                connection.execute("TRUNCATE lock_log.event, lock_log.source")
                assert "could not be read" not in run("--prefix", RECORDED_PREFIX, str(path)), language
                found.append(
                    connection.execute(
                        "SELECT kind, pid, logged_at, statement FROM lock_log.event ORDER BY 3, 1, 2, 4"
                    ).fetchall()
                )
        assert len(found[0]) > 5 and found[0] == found[1] == found[2], language
        said = refused("--prefix", "%m [%p] %u ", str(path))
        assert "The log_line_prefix does not fit: of" in said, language
