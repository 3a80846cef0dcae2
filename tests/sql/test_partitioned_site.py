"""A site that has partitioned its satellites, as the guide suggests: install, cycles, cleanup, removal."""

from __future__ import annotations

import re

import psycopg
import pytest

from lockmon.install import install, verify
from lockmon.install.removal import remove
from tests.conftest import Connect, OpenSession
from tests.support import sites
from tests.support.history import fill
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.stored import Stored

SATELLITES = ("lock_activity_s", "blocking_session_s", "deadlock_event_s", "lock_wait_analysis_s")
BY_DAY = "RANGE (load_date)"
BY_HUB = "HASH (lock_activity_hk)"


def partitioned(server: Server, *tables: str, by: str = BY_DAY) -> str:
    """A real site whose tables of these names are partitioned; its DSN."""
    text = (sites.DATA / "site" / "lock_monitoring.sql").read_text(encoding="utf-8")
    for table in tables:
        text, found = re.subn(
            rf"(CREATE TABLE lock_monitoring\.{table} \(.*?\n\));",
            rf"\1 PARTITION BY {by};",
            text,
            flags=re.S,
        )
        assert found == 1
    dsn = server.dsn(sites.real_site(server, old_functions=False))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(text)
        for table in tables:
            place = f"lock_monitoring.{table}"
            if by == BY_DAY:
                parts = [
                    f"FOR VALUES FROM ('{a}') TO ('{b}')"
                    for a, b in (("-infinity", "2020-01-15"), ("2020-01-15", "2026-01-01"))
                ] + ["FOR VALUES FROM ('2026-01-01') TO ('infinity')"]
            else:
                parts = [f"FOR VALUES WITH (MODULUS 3, REMAINDER {n})" for n in range(3)]
            for number, bounds in enumerate(parts):
                connection.execute(f"CREATE TABLE {place}_{number} PARTITION OF {place} {bounds}")
    return dsn


@pytest.mark.parametrize(("tables", "by"), [(SATELLITES, BY_DAY), (("lock_activity_s",), BY_HUB)])
def test_cycles_and_cleanup_work_on_a_partitioned_site(
    server: Server, connect: Connect, session: OpenSession, tables: tuple[str, ...], by: str
) -> None:
    dsn = partitioned(server, *tables, by=by)
    install(dsn)
    stored = Stored(connect(dsn))
    wrong = [check for check in verify(stored.connection) if check.state in ("missing", "wrong")]
    assert wrong == []
    stored.connection.execute("CREATE TABLE t (n int)")
    holder, waiter = session(dsn), session(dsn)
    holder.run("LOCK TABLE t IN EXCLUSIVE MODE")
    waiter.start("LOCK TABLE t IN SHARE MODE")
    waiter.wait_blocked()
    stored.capture()
    assert stored.value("SELECT count(*) FROM lock_monitoring.blocking_sessions_dashboard") == 1
    numbers = [row["satellite_id"] for row in stored.rows("SELECT * FROM lock_monitoring.lock_activity_s")]
    assert len(set(numbers)) == len(numbers) and None not in numbers
    holder.run("COMMIT")
    waiter.result()
    waiter.run("COMMIT")
    stored.capture()
    stored.check_rules()
    fill(stored.connection, 300, "2020-01-01", "2020-02-01")
    row = stored.one("CALL lock_engine.clean_up(30)")
    assert "lock_activity_s: 300 rows older than" in row["report"]
    assert "nothing expired is left" in row["report"]
    assert not stored.rows(
        "SELECT * FROM lock_monitoring.lock_activity_h WHERE lock_activity_bk LIKE 'old%%'"
    )
    stored.check_rules()
    # a new day's partition is no definition that somebody changed, and a second install finds nothing to do
    if by == BY_DAY:
        stored.connection.execute(
            "ALTER TABLE lock_monitoring.lock_activity_s DETACH PARTITION lock_monitoring.lock_activity_s_0;"
            "CREATE TABLE lock_monitoring.another PARTITION OF lock_monitoring.lock_activity_s"
            " FOR VALUES FROM ('-infinity') TO ('2020-01-15')"
        )
    assert not install(dsn, again=True).changed
    with psycopg.connect(dsn, autocommit=True) as dba:
        if by == BY_DAY:
            dba.execute("DROP TABLE lock_monitoring.lock_activity_s_0")
        remove(dba)
        row_count = dba.execute(
            "SELECT count(*) FROM pg_class WHERE relname LIKE 'lock_activity_s%satellite_id%'"
        ).fetchone()
        assert row_count == (0,)


def test_rows_at_the_same_place_of_two_partitions_are_not_mixed_up(
    server: Server, connect: Connect, session: OpenSession
) -> None:
    """An ending by ctid alone closed the row at the same place of the other partition, too."""
    dsn = partitioned(server, "lock_activity_s", by=BY_HUB)
    install(dsn)
    stored = Stored(connect(dsn))
    stored.connection.execute("CREATE TABLE a (n int); CREATE TABLE b (n int); CREATE TABLE c (n int)")
    first, second = session(dsn), session(dsn)
    for table in "abc":
        second.run(f"LOCK TABLE {table} IN SHARE MODE")
    first.run("LOCK TABLE a, b, c IN SHARE MODE")
    stored.capture()
    held = len(stored.locks(second.pid))
    first.run("COMMIT")
    stored.capture()
    rows = stored.locks(second.pid)
    assert len(rows) == held and [row for row in rows if row["load_end_date"]] == []
    assert [row for row in stored.locks(first.pid) if not row["load_end_date"] and row["table_name"]] == []
    stored.check_rules()


def test_a_site_with_children_triggers_and_indexes_of_its_own_works(
    server: Server, connect: Connect, session: OpenSession
) -> None:
    dsn = server.dsn(sites.real_site(server))
    stored = Stored(connect(dsn))
    stored.connection.execute(
        """
        CREATE TABLE public.archive () INHERITS (lock_monitoring.lock_activity_s);
        CREATE INDEX own_index ON lock_monitoring.lock_activity_s (user_name, lock_impact_score);
        CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
        CREATE TRIGGER own_trigger BEFORE INSERT OR UPDATE ON lock_monitoring.lock_activity_s FOR EACH ROW
            WHEN (NEW.lock_impact_score IS NULL) EXECUTE FUNCTION public.noted();
        """
    )
    install(dsn)
    assert [check for check in verify(stored.connection) if check.state in ("missing", "wrong")] == []
    stored.connection.execute("CREATE TABLE t (n int)")
    holder = session(dsn)
    holder.run("LOCK TABLE t IN EXCLUSIVE MODE")
    stored.capture()
    assert stored.locks(holder.pid)
    pid = holder.pid
    holder.run("COMMIT")
    stored.capture()
    stored.value("SELECT pg_terminate_backend(%s)", pid)
    poll(lambda: not stored.rows("SELECT FROM pg_stat_activity WHERE pid = %s", pid), 10, "its end")
    stored.rows("SELECT * FROM lock_monitoring.cleanup_old_data(0)")
    assert stored.locks(pid) == []
    stored.check_rules()
