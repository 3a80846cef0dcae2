"""What reading a log costs in processor time of the session that reads, as a multiple of an earlier csvlog's.

    python -m tests.bench.bench_log [--megabytes 4] [--rounds 5] [--import-megabytes 60] [--seconds 30]

First a table: a MB of ordinary csvlog, read by release candidate 1, is 1; ordinary stderr lines; the same
with words like "acquired_at" in their statements; with 1 % of records about locks, in English and in other
languages; csvlog and jsonlog with them. All are read in turn, by lock_log.ingest() in pieces of 1 MB, and
each reading is rolled back; the ratio is that of the medians. To reach: ordinary stderr at most 0.5, with 1 %
of lock records at most 1.5, in every language; three more are in encodings other than UTF-8.
Then a cycle each second beside 1 MB/s of ordinary stderr lines that a server writes: it reads the log for at
most a third of a second. Last the command's reading of a file of --import-megabytes with 1 % of lock records:
seconds, and the most memory that server session and client had. Linux only. Which PostgreSQL: LOCKMON_PG_BIN.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from tests.support import recordings, releases, vaults
from tests.support.log_render import DEFAULT, Record, Renderer, write_csv, write_json
from tests.support.servers import Server, throwaway

MB = 1024 * 1024
PREFIX = "%m [%p] "
PLAIN = "SELECT id, n, note FROM orders WHERE id = {0} AND note <> 'customer {0}' ORDER BY n"
WORDY = "SELECT acquired_at, lock_timeout, deadlocks FROM orders WHERE acquired_at > {0} AND obtained_lock"
CYCLE = "SELECT monitoring_summary FROM lock_monitoring.run_lock_monitoring()"
ELSEWHERE = {"ru": ("koi8-r",), "ja": ("euc-jp",), "fr": ("latin-1",)}
"""Python's names of encodings other than UTF-8 that a database may log in, by language."""
BEGINNING = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Log:
    """A text to read. prefix None: no stderr. earlier: by the reader of release candidate 1."""

    label: str
    form: str
    data: bytes
    prefix: str | None = None
    earlier: bool = False


def records(language: str, statement: str, locks: int, size: int) -> list[Record]:
    """Ordinary records of statements that took long, of at least so many bytes; one in `locks` (0:
    none) is one about locks, as recorded in this language."""
    recorded = recordings.load(language)
    about = [record for record in recorded.records if "Lock" in record.message or record.sqlstate == "40P01"]
    like = next(record for record in recorded.records if record.statement)
    made: list[Record] = []
    for number in range(size // 150):
        at = (BEGINNING + timedelta(milliseconds=11 * number)).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"
        if locks and number % locks == 0:
            made.append(replace(about[number // locks % len(about)], at=at))
            continue
        text = f"duration: {number % 900}.123 ms  statement: {statement.format(number)}\n\tLIMIT 10"
        made.append(
            replace(
                like, at=at, severity=about[0].severity, sqlstate="00000", message=text, detail="", hint="",
                context="", statement="", position="", place="", pid=str(1000 + number % 50),
            )
        )  # fmt: skip
    return made


def as_stderr(made: list[Record], language: str) -> bytes:
    """The records as stderr."""
    return Renderer(PREFIX, DEFAULT, recordings.load(language).words).text(made).encode()


def logs(size: int) -> list[Log]:
    """What the table compares; the first is 1."""
    plain, wordy = records("en", PLAIN, 0, size), records("en", WORDY, 0, size)
    locks = records("en", PLAIN, 100, size)
    made = [
        Log("csvlog, ordinary, rc1", "csvlog", write_csv(plain), earlier=True),
        Log("csvlog, ordinary", "csvlog", write_csv(plain)),
        Log("csvlog, words", "csvlog", write_csv(wordy)),
        Log("csvlog, 1 % locks", "csvlog", write_csv(locks)),
        Log("jsonlog, ordinary", "jsonlog", write_json(plain)),
        Log("jsonlog, 1 % locks", "jsonlog", write_json(locks)),
        Log("stderr, ordinary", "stderr", as_stderr(plain, "en"), PREFIX),
        Log("stderr, words", "stderr", as_stderr(wordy, "en"), PREFIX),
        Log("stderr, 1 % locks", "stderr", as_stderr(locks, "en"), PREFIX),
    ]
    for language in (one for one in recordings.LANGUAGES if one != "en"):
        for what, one_in in (("ordinary", 0), ("1 % locks", 100)):
            text = as_stderr(records(language, PLAIN, one_in, size), language)
            made.append(Log(f"stderr {language}, {what}", "stderr", text, PREFIX))
            for codec in ELSEWHERE.get(language, ()):
                coded = text.decode().encode(codec, "replace")
                made.append(Log(f"stderr {codec}, {what}", "stderr", coded, PREFIX))
    return made


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has used, of this machine."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def peak_memory(pid: int) -> float:
    """The most resident memory that a process has had of its own, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    figures = {
        line.split(":")[0]: line.split()[1]
        for line in status.splitlines()
        if line.startswith(("VmHWM", "RssShmem"))
    }
    return (int(figures["VmHWM"]) - int(figures["RssShmem"])) / 1024


def read(connection: psycopg.Connection[Any], log: Log) -> int:
    """Read one log in pieces of 1 MB as the command does it; how many records were taken."""
    start = taken = 0
    while start < len(log.data):
        piece = log.data[start : start + MB]
        row = connection.execute(
            "SELECT consumed, records FROM lock_log.ingest('bench', %s, %s, %b, %s, %s"
            + (")" if log.earlier else ", 'UTC')"),
            [log.form, start, piece, start + len(piece) == len(log.data), log.prefix],
        ).fetchone()
        assert row is not None
        start += row[0]
        taken += row[1]
        if not row[0]:
            break
    return taken


def table(dsn: str, earlier: str, size: int, rounds: int) -> None:
    """Print what a MB of each kind costs; `earlier` is the database of release candidate 1."""
    made = logs(size)
    spent: dict[str, list[float]] = {log.label: [] for log in made}
    taken = {}
    with psycopg.connect(dsn) as present, psycopg.connect(earlier) as past:
        for _ in range(rounds + 1):
            for log in made:
                connection = past if log.earlier else present
                before = processor_time(connection.info.backend_pid)
                taken[log.label] = read(connection, log)
                used = processor_time(connection.info.backend_pid) - before
                spent[log.label].append(used / (len(log.data) / MB))
                connection.rollback()
    # the first round has plans to make
    per_mb = {label: statistics.median(times[1:]) for label, times in spent.items()}
    unit = per_mb[made[0].label]
    print(f"{'':24} {'ms/MB':>8} {'ratio':>6} {'records':>8}")
    for log in made:
        cost = per_mb[log.label]
        print(f"{log.label:24} {cost * 1000:8.1f} {cost / unit:6.2f} {taken[log.label]:8}", flush=True)


@contextlib.contextmanager
def a_megabyte_a_second(dsn: str) -> Iterator[None]:
    """A session that has the server write 1 MB/s of ordinary lines."""
    stop = threading.Event()
    text = (
        "DO $$ BEGIN FOR i IN 1..400 LOOP RAISE LOG 'duration: % ms  statement: SELECT id, n FROM"
        " orders WHERE id = % AND note <> ''customer'' ORDER BY n LIMIT 10', i, i; END LOOP; END $$"
    )

    def write() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SET log_min_error_statement = 'panic'")
            while not stop.wait(0.1):
                connection.execute(text)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


def beside(seconds: int) -> None:
    """Print what cycles take while a server writes only stderr."""
    settings = {"log_destination": "stderr", "log_line_prefix": PREFIX}
    with throwaway(settings) as server:
        dsn = server.dsn(server.create_database())
        vaults.install(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection, a_megabyte_a_second(dsn):
            pid = connection.info.backend_pid
            for _ in range(3):
                connection.execute(CYCLE)
            walls, costs = [], []
            written = _log_size(server)
            began = time.monotonic()
            while time.monotonic() - began < seconds:
                before, start = processor_time(pid), time.monotonic()
                connection.execute(CYCLE)
                walls.append(time.monotonic() - start)
                costs.append(processor_time(pid) - before)
                time.sleep(max(0.0, 1 - walls[-1]))
            rate = (_log_size(server) - written) / MB / (time.monotonic() - began)
            row = connection.execute(
                "SELECT state, lag_bytes, skipped_bytes FROM lock_log.status()"
            ).fetchone()
    print(
        f"cycle beside {rate:.2f} MB/s of stderr: {statistics.median(costs) * 1000:.0f} ms of processor time,"
        f" {statistics.median(walls) * 1000:.0f} ms, at most {max(walls) * 1000:.0f} ms; state, bytes behind,"
        f" bytes skipped: {row}",
        flush=True,
    )


def _log_size(server: Server) -> int:
    return sum(path.stat().st_size for path in server.log_directory.iterdir())


def whole_file(dsn: str, size: int) -> None:
    """Print what the command's way of reading a file takes."""
    from lockmon.monitor.logs import read_file

    lock_records = records("en", PLAIN, 100, MB)
    for label, piece, form, prefix in (
        ("csvlog", write_csv(lock_records), "csvlog", None),
        ("stderr", as_stderr(lock_records, "en"), "stderr", PREFIX),
    ):
        with tempfile.NamedTemporaryFile() as file, psycopg.connect(dsn) as connection:
            # the second file holds the same records, which would not be stored again
            connection.execute("TRUNCATE lock_log.event, lock_log.source")
            connection.commit()
            for _ in range(max(1, size // len(piece))):
                file.write(piece)
            file.flush()

            @contextlib.contextmanager
            def cursors(connection: psycopg.Connection[Any] = connection) -> Iterator[Any]:
                with connection.transaction():
                    yield connection.cursor()

            pid = connection.info.backend_pid
            before, start = processor_time(pid), time.monotonic()
            done = read_file(Path(file.name), cursors, form, prefix, "UTC")
            took, used = time.monotonic() - start, processor_time(pid) - before
            client = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"import of {done.read / MB:.0f} MB of {label}: {took:.1f} s,"
                f" {done.read / MB / took:.1f} MB/s,"
                f" {used:.1f} s of processor time; {done.records} records; most memory of the session"
                f" {peak_memory(pid):.0f} MB, of the client {client:.0f} MB",
                flush=True,
            )


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=4, help="size of each log of the table")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--import-megabytes", type=float, default=60)
    parser.add_argument("--seconds", type=int, default=30, help="how long cycles run beside a busy log")
    options = parser.parse_args()
    if not Path("/proc/self/schedstat").exists():
        print("skipped: this benchmark needs Linux's /proc")
        return 0
    with throwaway() as server:
        dsn = server.dsn(server.create_database())
        vaults.install(dsn)
        print(f"PostgreSQL {server.version}")
        earlier = server.dsn(releases.restore(server, "rc1"))
        table(dsn, earlier, int(options.megabytes * MB), options.rounds)
        whole_file(dsn, int(options.import_megabytes * MB))
    beside(options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
