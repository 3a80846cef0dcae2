"""Following the server's own log: offsets, rotation, files replaced, rights, what people may see of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from onevault.embedded import account as accounts
from tests.conftest import Connect
from tests.support import vaults
from tests.support.poll import poll
from tests.support.rings import Arena
from tests.support.servers import Server, throwaway


def one(connection: psycopg.Connection[Any], question: str, *parameters: Any) -> Any:
    """The first value of a question."""
    row = connection.execute(question, parameters).fetchone()
    return row[0] if row else None


def lock_timeout(connection: psycopg.Connection[Any], arena: Arena) -> int:
    """Let one session run into its lock_timeout; its pid. The quickest record about locks there is."""
    holder, waiter = arena.connections
    holder.execute("BEGIN")
    holder.execute("LOCK TABLE " + f"ring_{arena.number}_0")
    waiter.execute("SET lock_timeout = '20ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        waiter.execute(f"SELECT * FROM ring_{arena.number}_0")
    holder.execute("ROLLBACK")
    return waiter.info.backend_pid


def first_taken(connection: psycopg.Connection[Any], pid: int) -> None:
    """Wait until a process's first record is stored; AssertionError with what the reader says otherwise."""
    try:
        poll(lambda: taken(connection, pid) == 1, 10, "the first record")
    except AssertionError as late:
        late.add_note(
            repr(connection.execute("SELECT s, clock_timestamp() FROM lock_log.state s").fetchall())
        )
        raise


def taken(connection: psycopg.Connection[Any], pid: int) -> int:
    """Collect, and how many timeouts of this process are stored."""
    connection.execute("SELECT lock_engine.collect_deadlocks()")
    return int(
        one(connection, "SELECT count(*) FROM lock_log.event WHERE pid = %s AND kind = 'lock_timeout'", pid)
    )


@pytest.fixture
def arena(vault_db: str) -> Any:
    """Two sessions of our own."""
    made = Arena(vault_db, 1, 2)
    yield made
    made.close()


def test_each_record_is_taken_once_across_rotation(vault_db: str, connect: Connect, arena: Arena) -> None:
    monitor = connect(vault_db)
    monitor.execute("SELECT lock_engine.collect_deadlocks()")
    pid = lock_timeout(monitor, arena)
    first_taken(monitor, pid)
    before = one(monitor, "SELECT position FROM lock_log.status()")
    connect("postgres").execute("SELECT pg_rotate_logfile()")
    lock_timeout(monitor, arena)
    poll(lambda: taken(monitor, pid) == 2, 10, "the record after the rotation")
    assert taken(monitor, pid) == 2
    status = monitor.execute("SELECT state, readable, lag_bytes FROM lock_log.status()").fetchone()
    assert status is not None
    assert status[:2] == ("log readable", True)
    assert before > 0


def test_a_file_replaced_under_the_reader_is_read_anew_without_duplicates(
    vault_db: str, connect: Connect, arena: Arena
) -> None:
    monitor = connect(vault_db)
    monitor.execute("SELECT lock_engine.collect_deadlocks()")
    pid = lock_timeout(monitor, arena)
    first_taken(monitor, pid)
    # as if the name had belonged to another, longer file
    monitor.execute(
        "UPDATE lock_log.state SET head_hash = 'another', position = position + 1000000, file_size = 0"
    )
    lock_timeout(monitor, arena)
    # from its beginning: with all that the tests before this one have logged, a third of a second a call
    poll(lambda: taken(monitor, pid) == 2, 120, "the new record")
    assert one(monitor, "SELECT readable FROM lock_log.status()") is True


def test_without_the_right_it_says_which_grant_and_the_cycle_goes_on(
    server: Server, vault_db: str, connect: Connect
) -> None:
    monitor = connect(vault_db)
    monitor.execute("REVOKE EXECUTE ON FUNCTION pg_current_logfile(text) FROM lock_log_reader")
    try:
        assert one(monitor, "SELECT monitoring_summary FROM lock_monitoring.run_lock_monitoring()")
        state, what = monitor.execute("SELECT state, what_to_do FROM lock_log.status()").fetchone() or (
            "",
            "",
        )
        assert state.startswith("log not readable: permission denied")
        assert "GRANT EXECUTE ON FUNCTION pg_current_logfile(text) TO lock_log_reader;" in what
    finally:
        monitor.execute("GRANT EXECUTE ON FUNCTION pg_current_logfile(text) TO lock_log_reader")
    monitor.execute("UPDATE lock_log.state SET retry_at = NULL")
    monitor.execute("SELECT lock_engine.collect_deadlocks()")
    assert one(monitor, "SELECT state FROM lock_log.status()") == "log readable"


def test_only_log_files_of_this_server_can_be_read(vault_db: str, connect: Connect) -> None:
    monitor = connect(vault_db)
    for name in ("../PG_VERSION", "/etc/passwd", "postgresql.conf", "..", "", None):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            monitor.execute("SELECT lock_log.read_server_file(%s, 0, 10)", [name])


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT lock_log.read_server_file('postgresql-Sun.csv', 0, 10)",
        "SELECT * FROM lock_log.server_file()",
        "SELECT * FROM lock_log.later_files('', 'csvlog', '-infinity')",
        "SELECT lock_log.read_server_log()",
        "SELECT lock_log.take('x', 'csvlog', 0, 'x', 'whole', '{}', NULL, NULL, NULL)",
        "INSERT INTO lock_log.event (record_hash, kind, logged_at, pid, source, stored_at)"
        " VALUES ('x', 'deadlock', now(), 1, 'x', now())",
        "SELECT lock_engine.store_deadlock(NULL, now(), 1, '[]', '{}', 'x', NULL, NULL)",
    ],
)
@pytest.mark.parametrize("role", ["lock_monitoring_role", "lock_admin_role"])
def test_nobody_reaches_the_raw_log_or_writes_history(
    vault_db: str, connect: Connect, role: str, statement: str
) -> None:
    person = connect(vault_db)
    person.execute(f"SET ROLE {role}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        person.execute(statement)


def test_readers_see_state_and_records_only_admins_import(vault_db: str, connect: Connect) -> None:
    person = connect(vault_db)
    person.execute("SET ROLE lock_monitoring_role")
    person.execute("SELECT * FROM lock_log.status()")
    person.execute("SELECT count(*) FROM lock_log.event")
    person.execute("SELECT lock_engine.collect_deadlocks()")
    person.execute("SELECT * FROM lock_engine.look_for_deadlocks()")
    person.execute("SELECT * FROM lock_engine.deadlock_ledger_summary()")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        person.execute("SELECT lock_log.ingest('x', 'csvlog', 0, 'x', true)")
    person.execute("RESET ROLE; SET ROLE lock_admin_role")
    person.execute("SELECT lock_log.ingest('x', 'csvlog', 0, 'x', true)")


def test_what_was_logged_before_the_monitor_came_is_not_its_own(
    server: Server, template_vault: str, connect: Connect
) -> None:
    # a copy made in the second of the template's own install cannot be told from the install itself
    with psycopg.connect(server.dsn(template_vault), autocommit=True) as template:
        older = "SELECT clock_timestamp() - min(installed_at) > interval '2 s' FROM lock_engine.installation"
        poll(lambda: one(template, older), 10, "a template older than the copy")
    before = Arena(server.dsn(server.create_database()), 1, 2)
    pid = lock_timeout(before.connections[0], before)
    before.close()
    monitor = connect(server.create_database(template=template_vault))
    of_before = "SELECT count(*) FROM lock_log.event WHERE logged_at < %s"
    made = one(monitor, "SELECT lock_log.installed_since()")
    # the file's time is a whole second: what was logged within the second of the copy may be older or younger
    poll(lambda: one(monitor, "SELECT clock_timestamp() > %s", made), 5, "the second's end")
    assert taken(monitor, pid) == 0
    # A first reading of a long log may take several calls: this is what a call out of time leaves behind.
    monitor.execute(
        "UPDATE lock_log.state SET position = 0, head_length = 0, file_size = NULL, modified_at = NULL"
    )
    assert taken(monitor, pid) == 0
    assert one(monitor, of_before, made) == 0
    assert one(monitor, "SELECT position FROM lock_log.status()") > 0


def test_what_is_logged_in_the_second_of_a_copy_is_taken(
    server: Server, template_vault: str, connect: Connect
) -> None:
    """Where the first reading came to no end, it was held to be older than the monitor, and lost."""
    admin = connect("postgres")
    young = "SELECT date_part('microseconds', clock_timestamp())::integer %% 1000000 < 100000"
    poll(lambda: one(admin, young), 5, "a second's beginning", interval=0.005)
    name = server.create_database(template=template_vault)
    monitor = connect(name)
    arena = Arena(server.dsn(name), 1, 2)
    pid = lock_timeout(monitor, arena)
    arena.close()
    assert taken(monitor, pid) == 1


@pytest.fixture
def old_log(server: Server) -> Iterator[Path]:
    """A log file of another weekday: a record a second for 20,000 seconds up to 20:33:20."""
    today = datetime.now(UTC).strftime("%a")
    path = server.log_directory / f"postgresql-{'Mon' if today == 'Tue' else 'Tue'}.csv"
    start = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
    with path.open("w", encoding="utf-8") as file:
        for second in range(20_000):
            at = (start + timedelta(seconds=second)).strftime("%Y-%m-%d %H:%M:%S.000 UTC")
            # a text that looks like an older record at the beginning of a line
            file.write(f'{at},"ann","shop",1,,,,,,,,LOG,00000,"é\n2020-01-01 00:00:00.000 UTC,x,{second}"\n')
    accounts.give(path, server.cluster.account)
    yield path
    path.unlink()


@pytest.mark.parametrize("since", ["20:33:00", "20:00:00", "18:00:00", "15:00:00", "23:00:00", None])
def test_a_first_reading_begins_no_further_back_than_it_must(
    vault_db: str, connect: Connect, old_log: Path, since: str | None
) -> None:
    monitor = connect(vault_db)
    whole = old_log.read_bytes()
    moment = since and f"2026-01-05 {since} UTC"
    row = monitor.execute(
        "SELECT * FROM lock_log.first_position(%s, %s, %s, 'UTC')", [old_log.name, len(whole), moment]
    ).fetchone()
    assert row is not None
    first, skipped = row
    assert skipped == 0
    if since in (None, "15:00:00"):
        assert first == 0
        return
    assert whole[first - 1 : first] == b"\n" and re.match(rb"20\d\d-\d\d-\d\d ", whole[first:])
    assert f"2026-01-05 {since}".encode() not in whole[:first]
    wanted = len(whole) - whole.find(f"2026-01-05 {since}".encode()) if since != "23:00:00" else 0
    assert len(whole) - first <= max(64 * 1024, 2 * wanted + 16 * 1024)


def test_a_prefix_that_does_not_fit_is_the_state_until_one_does() -> None:
    """It was "log readable", and each deadlock of it missed."""
    with throwaway({"log_destination": "stderr", "log_line_prefix": "%m [%p] "}) as alone:
        name = alone.create_database()
        vaults.install(alone.dsn(name))
        with psycopg.connect(alone.dsn(name), autocommit=True) as monitor:
            monitor.execute("SELECT lock_engine.collect_deadlocks()")
            arena = Arena(alone.dsn(name), 1, 2)
            file = alone.log_directory / str(one(monitor, "SELECT file_name FROM lock_log.state"))

            def state() -> Any:
                monitor.execute("SELECT lock_engine.collect_deadlocks()")
                return monitor.execute("SELECT state, readable, what_to_do FROM lock_log.status()").fetchone()

            # The collector writes when it comes to it: no line of before may come after those of this test.
            monitor.execute("DO $$ BEGIN RAISE LOG 'all of it'; END $$")
            poll(lambda: b"all of it" in file.read_bytes(), 10, "the server's own lines")
            with file.open("a") as log:
                log.write("db_1  | 2026-11-22 03:12:41 ERROR:  deadlock detected\n" * 200)
            said, _, remedy = poll(lambda: not (found := state())[1] and found, 10, "the misfit")
            assert said.startswith(
                'log not readable: log_line_prefix does not fit: log_line_prefix is "%m [%p]'
            )
            assert "log_destination" in remedy
            settled = "SELECT settled FROM lock_log.state"
            kept = "SELECT (xmin, state)::text FROM lock_log.state"

            def nothing_new() -> Any:
                """What is kept before and after a call that met nothing, not even a line of the server."""
                size = file.stat().st_size
                state()
                at_end, before = one(monitor, settled), one(monitor, kept)
                state()
                return at_end and file.stat().st_size == size and (before, one(monitor, kept))

            before, after = poll(nothing_new, 10, "a call that met nothing new")
            assert before == after, "nothing new says nothing else and writes nothing"
            if file.read_bytes().endswith(b"ERROR:  deadlock detected\n"):
                assert "log_line_prefix does not fit" in after, "the last that was written does not"
            monitor.execute("ALTER SYSTEM SET log_line_prefix = '%m [%p] %q%u@%d '")
            monitor.execute("SELECT pg_reload_conf()")
            poll(lambda: one(monitor, "SHOW log_line_prefix") == "%m [%p] %q%u@%d ", 10, "the new prefix")
            pids = {lock_timeout(monitor, arena) for _ in range(8)}
            poll(lambda: any(taken(monitor, pid) for pid in pids), 10, "a record of the log that fits")
            assert state()[1]
            arena.close()


@pytest.mark.parametrize("begins_with", ["stderr", "csvlog"])
def test_a_better_format_is_read_from_the_next_call_on_and_the_old_one_to_its_end(begins_with: str) -> None:
    """It stayed with the old one for ever, or left what that still held."""
    with throwaway({"log_destination": begins_with, "log_line_prefix": "%m [%p] "}) as alone:
        name = alone.create_database()
        vaults.install(alone.dsn(name))
        with psycopg.connect(alone.dsn(name), autocommit=True) as monitor:
            monitor.execute("SELECT lock_engine.collect_deadlocks()")
            assert one(monitor, "SELECT log_format FROM lock_log.status()") == begins_with
            arena = Arena(alone.dsn(name), 1, 2)
            pid = lock_timeout(monitor, arena)
            other = "csvlog" if begins_with == "stderr" else "stderr"
            monitor.execute(f"ALTER SYSTEM SET log_destination = '{other}'")
            monitor.execute("SELECT pg_reload_conf()")
            written = "SELECT pg_current_logfile(%s) IS NOT NULL AND pg_current_logfile(%s) IS NULL"
            poll(lambda: one(monitor, written, other, begins_with), 10, "the other format")
            poll(lambda: taken(monitor, pid) == 1, 10, "what the old one still held")
            going_over = "SELECT lock_engine.collect_deadlocks(), (SELECT log_format FROM lock_log.state)"
            poll(lambda: monitor.execute(going_over).fetchone() == (0, other), 10, "the other format's turn")
            lock_timeout(monitor, arena)
            poll(lambda: taken(monitor, pid) == 2, 10, "the record in the new format")
            monitor.execute("ALTER SYSTEM SET log_destination = 'stderr,csvlog'")
            monitor.execute("SELECT pg_reload_conf()")
            both = (
                "SELECT pg_current_logfile('stderr') IS NOT NULL AND pg_current_logfile('csvlog') IS NOT NULL"
            )
            poll(lambda: one(monitor, both), 10, "both formats")
            lock_timeout(monitor, arena)
            poll(lambda: taken(monitor, pid) == 3, 10, "the record that both have")
            assert taken(monitor, pid) == 3
            assert one(monitor, "SELECT log_format FROM lock_log.status()") == "csvlog"
            assert one(monitor, "SELECT skipped_bytes FROM lock_log.status()") == 0
            arena.close()


def test_the_advice_heals_with_the_next_call() -> None:
    """It was not tried for a minute, and then in the format that could not be read, for ever."""
    with throwaway({"log_destination": "stderr", "log_line_prefix": "%t-%u-"}) as alone:
        name = alone.create_database()
        vaults.install(alone.dsn(name))
        with psycopg.connect(alone.dsn(name), autocommit=True) as monitor:
            monitor.execute("SELECT lock_engine.collect_deadlocks()")
            state, advice = monitor.execute("SELECT state, what_to_do FROM lock_log.status()").fetchone() or (
                "",
                "",
            )
            assert "lacks the time (%m) or the process (%p)" in state
            for statement in re.findall(r"(ALTER SYSTEM[^;]*|SELECT[^;]*);", advice):
                monitor.execute(statement)
            poll(lambda: one(monitor, "SELECT pg_current_logfile('csvlog')"), 10, "the csvlog")
            monitor.execute("SELECT lock_engine.collect_deadlocks()")
            said = monitor.execute("SELECT state, log_format FROM lock_log.status()").fetchone()
            assert said == ("log readable", "csvlog")
