"""How a release is kept for the upgrade tests: a dump of a vault with a small day of real history.

    LOCKMON_PG_BIN=<PostgreSQL 13's bin> python -m tests.support.release_dump NAME

writes tests/data/releases/NAME.sql and NAME_unreadable.sql. Run it in the release's own commit, on the oldest
PostgreSQL, so that the dump restores on every later one (pg_dump is the system's, and may be newer). rc1 was
made in commit 50f3039. A file that is there already is never made again: it is what a living site has.

Everything in it was written by the release itself: its install, its loop with a leader, a standby, alerts and
policies, killed and started again, over the demo's sessions and some deadlocks, while the server restarts
once. It is played four times for half a minute; between two times all rows are moved seven hours into the
past, which makes a day of it. At the end sessions of a LATIN1 database wait, whose texts and names are no
valid UTF-8: the bytes that they left in the vault cannot stand in a dump, so readable ones stand there, and
NAME_unreadable.sql puts the bytes back.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import psycopg
from psycopg import sql

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from lockmon.demo import traffic  # noqa: E402
from lockmon.install import SQL_FOLDER, connect, grant_login, install_on  # noqa: E402
from tests.support import catalog, releases, sites  # noqa: E402
from tests.support.loops import ROOT, start_process, until_watching, url  # noqa: E402
from tests.support.poll import poll  # noqa: E402
from tests.support.rings import Arena  # noqa: E402
from tests.support.servers import Server, throwaway  # noqa: E402
from tests.support.sessions import Session  # noqa: E402

LOGIN, SHOP, KEEPER = "onevault_app", "shop_rw", "shop_dba"
ACTS, SECONDS, HOURS = 4, 26, 7
PLAIN = ("text", "character varying")

RULES = (
    '{"action": "terminate", "min_severity": "LOW", "min_blocked_seconds": 5, "user_patterns": ["shop_*"],'
    ' "kinds": ["idle_in_transaction"]}'
)


def say(text: str) -> None:
    """One line of progress."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def site(server: Server) -> str:
    """A site with the release installed and its people; the database's name."""
    name = server.create_database(name="one_vault")
    with psycopg.connect(server.dsn(name), autocommit=True) as one:
        one.execute((sites.DATA / "site" / "platform.sql").read_text(encoding="utf-8"))
        one.execute(f"CREATE ROLE {SHOP} LOGIN; CREATE SCHEMA demo AUTHORIZATION {SHOP}")
        one.execute(f"CREATE ROLE {KEEPER} LOGIN")
    with connect(server.dsn(name)) as installer:
        install_on(installer)
        grant_login(installer, LOGIN, "only-for-tests")
        installer.execute(f"GRANT lock_admin_role TO {KEEPER}")
    with psycopg.connect(server.dsn(name, KEEPER), autocommit=True) as keeper:
        keeper.execute("SET ROLE lock_admin_role")
        keeper.execute(
            "UPDATE lock_admin.setting SET value = '3' WHERE name = 'capture.min_transaction_age_seconds'"
        )
        keeper.execute("SELECT * FROM lock_admin.save_policy('forgotten', %s, 'ann')", [RULES])
        keeper.execute("SELECT * FROM lock_admin.save_policy('watch only', %s, 'ann')", [RULES])
        keeper.execute(
            "SELECT * FROM lock_admin.set_policy_mode('watch only', 'dry_run', 'to see', 'bob', 2)"
        )
    return name


@contextmanager
def loops(dsn: str, web: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """A leader with alerts and policies, and a standby."""
    started = [start_process(dsn, web, helpers=True)]
    try:
        until_watching(dsn)
        started.append(start_process(dsn, web, helpers=True))
        yield started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


def act(server: Server, name: str, web: str, number: int) -> None:
    """One of the day's scenes: the loop watches the shop, is killed and comes back."""
    dsn = server.dsn(name)
    ending = threading.Event()
    shop = threading.Thread(target=traffic.play, args=(server.dsn(name, SHOP), ending, number))
    shop.start()
    began = time.monotonic()
    try:
        with loops(dsn, web) as watching:
            arena = Arena(dsn, number)
            for kind in ("row", "table", "mixed"):
                arena.deadlock(3, kind, 0.3, random.Random(number))
            arena.close()
            stop_somebody(server, name, number)
            ending.wait(max(0, SECONDS / 2 - (time.monotonic() - began)))
            if number == 0:
                arm(server, name)
            if number == 1:
                server.restart()
            if number == 2:
                for process in watching:
                    process.kill()
                ending.wait(8)  # nobody watches
                watching.append(start_process(dsn, web, helpers=True))
            ending.wait(max(0, SECONDS - (time.monotonic() - began)))
            look_after_alerts(server, name)
    finally:
        ending.set()
        shop.join()


def arm(server: Server, name: str) -> None:
    """A policy that acts from now on."""
    with psycopg.connect(server.dsn(name, KEEPER), autocommit=True) as keeper:
        keeper.execute("SET ROLE lock_admin_role")
        keeper.execute("SELECT lock_admin.backtest_policy('forgotten')")
        row = keeper.execute(
            "SELECT accepted, message"
            " FROM lock_admin.set_policy_mode('forgotten', 'armed', 'agreed', 'bob', 2)"
        ).fetchone()
        assert row is not None and row[0], row


def stop_somebody(server: Server, name: str, number: int) -> None:
    """A person stops one blocking session through the door, and is refused another."""
    dsn = server.dsn(name)
    holder = Session(server.dsn(name, SHOP), application_name="forgotten job")
    waiter = Session(server.dsn(name, SHOP), application_name="till")
    holder.run("UPDATE demo.accounts SET balance = balance WHERE id = 150")
    waiter.start("UPDATE demo.accounts SET balance = balance WHERE id = 150")
    waiter.wait_blocked()
    time.sleep(3)  # so that the loop has seen it
    with psycopg.connect(server.dsn(name, KEEPER), autocommit=True) as keeper:
        keeper.execute("SET ROLE lock_admin_role")
        action = "cancel" if number == 1 else "terminate"
        for pid in (holder.pid, waiter.pid if number == 3 else keeper.info.backend_pid):
            row = keeper.execute(
                "SELECT r.action_id, r.accepted FROM lock_catalog.sessions AS s CROSS JOIN LATERAL"
                " lock_admin.request_action(%s, s.pid, s.backend_start, 'it blocks the till', NULL, false,"
                " 'carol') AS r WHERE s.pid = %s",
                [action, pid],
            ).fetchone()
            assert row is not None
            if row[1]:
                keeper.execute("SELECT * FROM lock_admin.execute_action(%s)", [row[0]])
    if action == "cancel":
        holder.run("ROLLBACK")
    try:
        waiter.result()
    except psycopg.Error as error:
        say(f"the waiter: {error}")
    for one in (waiter, holder):
        one.close()
    say(f"stopped somebody in {dsn.split()[0]}")


def look_after_alerts(server: Server, name: str) -> None:
    """Somebody acknowledges one event and snoozes another."""
    with psycopg.connect(server.dsn(name, KEEPER), autocommit=True) as keeper:
        keeper.execute("SET ROLE lock_admin_role")
        events = keeper.execute(
            "SELECT decode(event_key, 'hex') FROM monitoring.alert_event_list WHERE is_open LIMIT 2"
        ).fetchall()
        for action, until, (event,) in zip(("acknowledge", "snooze"), (None, "1 hour"), events, strict=False):
            keeper.execute(
                "SELECT monitoring.act_on_alert_event(%s, %s, 'carol', 'seen', now() + %s::interval)",
                [event, action, until],
            )


def wait_in_latin1(server: Server, name: str) -> None:
    """Sessions of a LATIN1 database block each other while the release stores what it sees.

    Their user's and their database's name are no UTF-8 either. They still wait when the dump is made.
    """
    server.execute("CREATE DATABASE latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    server.execute('CREATE ROLE "zoë" LOGIN SUPERUSER', "latin1")
    with psycopg.connect(server.dsn("latin1"), autocommit=True) as setup:
        setup.execute("CREATE TABLE straße (id int PRIMARY KEY, ort text)")
        setup.execute("INSERT INTO straße SELECT g, 'Köln' FROM generate_series(1, 9) AS g")
        setup.execute('GRANT ALL ON straße TO "zoë"')
    server.execute('CREATE DATABASE "büro" TEMPLATE latin1', "latin1")
    # libpq takes these as they are, psycopg would send UTF-8
    os.environb.update({b"PGUSER": "zoë".encode("latin-1"), b"PGDATABASE": "büro".encode("latin-1")})
    base = psycopg.conninfo.make_conninfo(
        "", host=str(server.socket_directory), port=server.port, client_encoding="LATIN1"
    )
    sessions = [
        Session(base, application_name=application) for application in ("till", "api", "api", "report")
    ]
    try:
        sessions[0].run("UPDATE straße SET ort = 'Zürich' WHERE id = 1")
        for one, city in zip(sessions[1:], ("Malmö", "Ængelholm", "Besançon"), strict=True):
            one.start(f"UPDATE straße SET ort = '{city}' WHERE id = 1")
            one.wait_blocked()
        with psycopg.connect(server.dsn(name), autocommit=True) as cron:
            for _ in range(3):
                time.sleep(1.2)
                row = cron.execute("SELECT monitoring_summary FROM lock_monitoring.run_lock_monitoring()")
                say(str(row.fetchone()))
    finally:
        for one in reversed(sessions):
            one.close()
        del os.environb[b"PGUSER"], os.environb[b"PGDATABASE"]


def mark_unreadable(dsn: str) -> str:
    """Put readable stand-ins where the encoding does not know the bytes; SQL that puts the bytes back."""
    lines: list[str] = []
    with psycopg.connect(dsn) as connection:
        connection.execute("SET session_replication_role = replica")
        rows: dict[tuple[str, str], list[tuple[str, str, bytes]]] = {}
        for table, column, kind, ctid, raw in releases.unreadable_values(connection):
            say(f"unreadable: {table}.{column} ({kind}): {raw[:60]!r}")
            rows.setdefault((table, ctid), []).append((column, kind, raw))
        for (table, ctid), values in rows.items():
            marks = sql.SQL(", ").join(
                sql.SQL(f"{column} = {{}}::{kind}").format(stand_in(raw)) for column, kind, raw in values
            )
            (now_at,) = connection.execute(
                sql.SQL("UPDATE {} SET {} WHERE ctid = {}::tid RETURNING ctid::text").format(
                    sql.SQL(table), marks, ctid
                )
            ).fetchone() or ("",)
            sets = ", ".join(
                f"{column} = '\\x{raw.hex()}'::bytea::text{'' if kind in PLAIN else '::' + kind}"
                for column, kind, raw in values
            )
            lines.append(f"UPDATE {table} SET {sets} WHERE {key(connection, table, now_at)};")
    return "\n".join(lines) + "\n"


def stand_in(raw: bytes) -> str:
    """The text with a question mark for each byte that is none."""
    return re.sub(r"\\x[0-9a-f]{2}", "?", raw.decode("utf-8", "backslashreplace"))


def key(connection: psycopg.Connection[Any], table: str, ctid: str) -> str:
    """A condition that finds a row by its primary key."""
    (names,) = connection.execute(
        "SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_index AS i"
        " JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)"
        " WHERE i.indisprimary AND i.indrelid = %s::regclass",
        [table],
    ).fetchone() or ([],)
    row = connection.execute(
        sql.SQL("SELECT {} FROM {} WHERE ctid = %s::tid").format(
            sql.SQL(", ").join(sql.SQL(f"quote_literal({one})") for one in names), sql.SQL(table)
        ),
        [ctid],
    ).fetchone()
    assert row is not None, table
    return " AND ".join(f"{one} = {value}" for one, value in zip(names, row, strict=True))


def dump(server: Server, name: str, target: Path) -> None:
    """The file: roles, then what pg_dump says."""
    roles = (SQL_FOLDER / "prerequisites" / "roles.sql").read_text(encoding="utf-8")
    logins = "".join(
        f"DO $$ BEGIN IF to_regrole('{one}') IS NULL THEN CREATE ROLE {one} LOGIN NOINHERIT;"
        " END IF; END $$;\n"
        for one in (LOGIN, SHOP, KEEPER)
    )
    title = f"-- A living site of {target.stem}: made once by tests/support/release_dump.py, never again.\n"
    target.write_text(title + roles + logins + releases.dumped(server, name), encoding="utf-8")


def main(release: str) -> int:
    """Make both files."""
    target, unreadable = releases.FOLDER / f"{release}.sql", releases.FOLDER / f"{release}_unreadable.sql"
    if target.exists():
        print(f"{target.name} is there already and is never made again.", file=sys.stderr)
        return 1
    with throwaway() as server:
        name, web = site(server), server.create_database(name="onevault_web")
        environment = dict(os.environ) | {
            "DJANGO_SETTINGS_MODULE": "onevault.settings",
            "VAULT_DATABASE_URL": url(server.dsn(name)),
            "DATABASE_URL": url(server.dsn(web)),
            "SECRET_KEY": "only-for-tests-" * 4,
        }
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
        for number in range(ACTS):
            say(f"act {number + 1} of {ACTS}")
            if number:
                with psycopg.connect(server.dsn(name), autocommit=True) as past:
                    releases.move(past, f"-{HOURS} hours")
            act(server, name, server.dsn(web), number)
        with psycopg.connect(server.dsn(name), autocommit=True) as cron:
            poll(
                lambda: (
                    cron.execute(
                        "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name ~ 'demo:'"
                    ).fetchone()
                    == (True,)
                ),
                60,
                "the shop closed",
            )
            cron.execute("SELECT * FROM lock_monitoring.analyze_lock_waits()")
            cron.execute("SELECT * FROM lock_monitoring.cleanup_old_data(30)")
        wait_in_latin1(server, name)
        back = mark_unreadable(server.dsn(name))
        dump(server, name, target)
        head = (
            "-- What sessions of a LATIN1 database left in this vault: bytes that are no valid UTF-8,\n"
            "-- in the place of readable ones. To be run after the dump by a superuser: only a cast\n"
            "-- without a function writes such bytes.\n"
            "SET session_replication_role = replica;\nCREATE CAST (bytea AS text) WITHOUT FUNCTION;\n"
        )
        unreadable.write_text(
            head + back + "DROP CAST (bytea AS text);\nRESET session_replication_role;\n", encoding="utf-8"
        )
        with psycopg.connect(server.dsn(name), autocommit=True) as one:
            for table, rows in sorted(catalog.contents(one).items()):
                say(f"{len(rows):6} {table}")
    say(f"{target.name}: {target.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
