"""Records what a real server logs in a database of another encoding than UTF8.

    LOCKMON_PG_BIN=/usr/lib/postgresql/15/bin python -m tests.support.log_record_encodings

Writes tests/data/log/encoded/LANGUAGE.ENCODING.csv, .log and .json (who did it), for
tests/sql/test_log_encodings.py. See tests.support.log_record.
"""

from __future__ import annotations

import json
from pathlib import Path

import psycopg

from tests.support import strangers
from tests.support.log_play import PATIENT, QUICK, failed
from tests.support.log_record import SETTINGS, keep_logged
from tests.support.recordings import FOLDER
from tests.support.servers import Server, throwaway
from tests.support.sessions import Session

ENCODED = FOLDER / "encoded"
RECORDED = (
    ("de", "LATIN2"),
    ("fr", "LATIN1"),
    ("ja", "EUC_JP"),
    ("ko", "EUC_KR"),
    ("ru", "ISO_8859_5"),
    ("ru", "KOI8R"),
    ("ru", "WIN866"),
    ("ru", "WIN1251"),
    ("sv", "LATIN9"),
    ("uk", "KOI8U"),
    ("zh_CN", "EUC_CN"),
)
ENDINGS = ("csv", "log")


def play(server: Server, database: str) -> dict[str, int]:
    """A deadlock, a refusal and a lock timeout; who did it."""
    place = server.dsn(database)
    with psycopg.connect(place, autocommit=True) as admin:
        admin.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
        admin.execute("INSERT INTO t VALUES (1, 1), (2, 2)")
    loser, holder = (
        Session(psycopg.conninfo.make_conninfo(place, options=f"-c deadlock_timeout={timeout}"))
        for timeout in (QUICK, PATIENT)
    )
    loser.run("UPDATE t SET n = n WHERE id = 1")
    holder.run("UPDATE t SET n = n WHERE id = 2")
    holder.start("UPDATE t SET n = n WHERE id = 1")
    holder.wait_blocked()
    loser.start("UPDATE t SET n = n WHERE id = 2")
    failed(loser, psycopg.errors.DeadlockDetected)
    holder.result()
    loser.run("ROLLBACK")
    loser.start("LOCK t NOWAIT")
    failed(loser, psycopg.errors.LockNotAvailable)
    loser.run("ROLLBACK")
    loser.run("SET LOCAL lock_timeout = '200ms'")
    loser.start("UPDATE t SET n = n WHERE id = 1")
    failed(loser, psycopg.errors.LockNotAvailable)
    holder.close()
    loser.close()
    return {"loser": loser.pid, "holder": holder.pid}


def record(server: Server, language: str, encoding: str) -> None:
    """Play it in one language and one encoding and keep what was logged."""
    name, stem = f"{language}_{encoding}".lower(), ENCODED / f"{language}.{encoding}"

    def play_there(_csv_file: Path) -> dict[str, int]:
        strangers.create_database(server, name, encoding)
        return play(server, name)

    pids = keep_logged(server, language, stem, ENDINGS, play_there)
    stem.with_name(f"{stem.name}.json").write_text(json.dumps(pids) + "\n", encoding="utf-8")


def files_of(language: str, encoding: str) -> dict[str, Path]:
    """The files of one recording, by ending."""
    return {end: ENCODED / f"{language}.{encoding}.{end}" for end in (*ENDINGS, "json")}


def main() -> None:
    """Record all of them."""
    ENCODED.mkdir(parents=True, exist_ok=True)
    with throwaway(SETTINGS | {"log_destination": "stderr,csvlog"}) as server:
        for language, encoding in RECORDED:
            record(server, language, encoding)


if __name__ == "__main__":
    main()
