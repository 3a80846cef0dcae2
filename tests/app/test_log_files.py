"""Importing a log file: once, on from where it stopped, anew when it is another file; bad files."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from lockmon import vault
from lockmon.calls import deadlocks as calls
from lockmon.monitor.logs import PIECE, LogFileError, guess_format, read_file
from tests.support.log_record import PREFIX
from tests.support.log_record_encodings import RECORDED, files_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

RECORD = (
    '2026-11-20 03:12:{second:02d}.123 UTC,"app","shop",{pid},"10.0.0.7:5000",6921.b,3,"UPDATE",'
    '2026-11-20 03:00:00 UTC,3/4,734,ERROR,40P01,"deadlock detected","'
    "Process {pid} waits for ShareLock on transaction 733; blocked by process 12.\n"
    "Process 12 waits for ShareLock on transaction 734; blocked by process {pid}.\n"
    "Process {pid}: UPDATE a SET n = 1 WHERE x = 'y'\nProcess 12: UPDATE b SET n = 2\""
    ',"See server log for query details.",,,"while updating tuple (0,1) in relation ""a"""'
    ',"UPDATE a",,,"api","client backend",,0\n'
)
OTHER = (
    '2026-11-20 03:11:00.000 UTC,"app","shop",9,"10.0.0.7:5000",6921.b,1,"idle",'
    "2026-11-20 03:00:00 UTC,3/4,0,LOG,00000,"
    '"statement: ALTER ROLE x PASSWORD \'secret\'",,,,,,,,,"api","client backend",,0\n'
)


def read(path: Path) -> Any:
    """Read it as the command does."""
    return read_file(path, lambda: vault.admin_transaction("vault"))


def test_a_file_is_read_once_and_on_from_where_it_stopped(vault_db: str, tmp_path: Path) -> None:
    path = tmp_path / "server.csv"
    path.write_text(OTHER + RECORD.format(second=1, pid=11))
    assert read(path).records == 1
    assert read(path).records == 0
    with path.open("a") as stream:
        stream.write(RECORD.format(second=2, pid=21)[:100])
    assert read(path).records == 0
    with path.open("a") as stream:
        stream.write(RECORD.format(second=2, pid=21)[100:])
    again = read(path)
    assert again.records == 1
    assert again.start == len((OTHER + RECORD.format(second=1, pid=11)).encode())
    with vault.cursor() as cursor:
        assert [event.victim_pid for event in calls.list_deadlocks(cursor)] == [21, 11]


def test_another_file_of_the_same_name_begins_anew(vault_db: str, tmp_path: Path) -> None:
    path = tmp_path / "server.csv"
    path.write_text(OTHER * 5 + RECORD.format(second=1, pid=11))
    read(path)
    path.write_text(RECORD.format(second=3, pid=31) + OTHER * 20)
    taken = read(path)
    assert (taken.start, taken.records) == (0, 1)


def test_pieces_need_not_end_with_a_record(vault_db: str, tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    path.write_text(OTHER * (PIECE // len(OTHER)) + RECORD.format(second=1, pid=11) + OTHER * 100)
    assert path.stat().st_size > PIECE
    assert read(path).records == 1


def test_nothing_but_records_about_locks_is_kept(vault_db: str, tmp_path: Path) -> None:
    path = tmp_path / "server.csv"
    path.write_text(OTHER + RECORD.format(second=1, pid=11))
    read(path)
    with psycopg.connect(vault_db) as connection:
        rows = connection.execute("SELECT e::text FROM lock_log.event e").fetchall()
    assert len(rows) == 1
    assert "secret" not in rows[0][0]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"\x00" * 5000), "is empty"),
        (lambda path: path.write_bytes(bytes(range(256)) * 40), "is not a PostgreSQL log"),
        (lambda path: path.write_text("127.0.0.1 - GET /index.html 200\n"), "is not a PostgreSQL log"),
    ],
)
def test_bad_files_are_one_sentence(
    vault_db: str, tmp_path: Path, make: Callable[[Path], object], sentence: str
) -> None:
    path = tmp_path / "server.log"
    make(path)
    with pytest.raises(CommandError, match=sentence) as failure:
        call_command("lockmon_read_log", str(path))
    assert failure.value.returncode == 1


def test_formats_are_told_apart() -> None:
    assert guess_format("x.csv", RECORD.format(second=1, pid=11).encode()) == "csvlog"
    assert guess_format("x", b'{"timestamp":"2026-11-20 03:11:00.000 UTC","pid":1}') == "jsonlog"
    assert guess_format("x.log", b"2026-11-20 03:11:00.000 UTC [1] LOG:  starting\n") == "stderr"
    with pytest.raises(LogFileError):
        guess_format("x", b"<html>")


@pytest.mark.parametrize(("language", "encoding"), RECORDED)
def test_a_file_in_any_encoding_is_read_as_it_is(vault_db: str, language: str, encoding: str) -> None:
    files = files_of(language, encoding)
    of_csv = read_file(files["csv"], lambda: vault.admin_transaction("vault"))
    assert (of_csv.form, of_csv.records, of_csv.unreadable) == ("csvlog", 5, 0)
    again = read_file(files["log"], lambda: vault.admin_transaction("vault"), prefix=PREFIX)
    assert (again.form, again.records, again.unreadable) == ("stderr", 0, 0), "they are the same records"
    with vault.cursor() as cursor:
        [event] = calls.list_deadlocks(cursor)
    assert event.victim_pid == json.loads(files["json"].read_text())["loser"]


def test_commands_import_list_show_and_export(vault_db: str, tmp_path: Path) -> None:
    path = tmp_path / "server.csv"
    path.write_text(RECORD.format(second=1, pid=11))

    def run(*arguments: str) -> str:
        out = StringIO()
        call_command(*arguments, stdout=out)
        return out.getvalue()

    assert run("lockmon_read_log", str(path)).startswith("1 new records about locks")
    listed = run("lockmon_deadlocks")
    assert "between 11, 12, victim 11" in listed
    exported = json.loads(run("lockmon_deadlocks", "--json"))
    identity = exported[1]["deadlock_id"]
    shown = run("lockmon_deadlocks", "--show", identity)
    assert "11 app api   <- victim" in shown
    assert "waits for 12: wants ShareLock" in shown
    assert "Mend: In the ring:" in shown
    one = json.loads(run("lockmon_deadlocks", "--show", identity, "--json"))
    assert one[0]["graph"]["edges"][0] | {"to": 12} == one[0]["graph"]["edges"][0]
    with pytest.raises(CommandError, match="There is no deadlock nonsense"):
        run("lockmon_deadlocks", "--show", "nonsense")


def test_only_the_own_servers_file_may_be_proven_by_its_counters(vault_db: str, tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    edge = "Process {} waits for ShareLock on transaction {}; blocked by process {}."
    path.write_text(
        "2026-11-20 03:11:00.000 UTC [11] ERROR:  deadlock detected\n"
        f"2026-11-20 03:11:00.000 UTC [11] DETAIL:  {edge.format(11, 733, 12)}\n"
        f"\t{edge.format(12, 734, 11)}\n"
        "2026-11-20 03:11:00.000 UTC [11] STATEMENT:  UPDATE a SET n = 1\n"
        "2026-11-20 03:11:09.000 UTC [12] LOG:  checkpoint starting: time\n"
    )

    def run(*arguments: str) -> str:
        out = StringIO()
        call_command("lockmon_read_log", str(path), "--prefix", "%m [%p] ", *arguments, stdout=out)
        return out.getvalue()

    assert "1 new records about locks, 1 of them claimed, in " in run()
    waiting = "1 claimed deadlock may now be proven by the counters."
    assert waiting in run("--own-server")
    assert waiting not in run("--own-server"), "it is said once"
    with psycopg.connect(vault_db) as connection:
        rows = connection.execute(
            "SELECT waits_for_proof FROM lock_engine.claimed_deadlocks('-infinity', 'infinity')"
        ).fetchall()
    assert rows == [(True,)]
