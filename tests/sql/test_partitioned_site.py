"""A site that has partitioned its satellites, as the guide suggests: install, cycles, cleanup, removal."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from lockmon.install import install, verify
from lockmon.install.removal import remove
from tests.conftest import Connect, OpenSession
from tests.support import sites
from tests.support.aside import ACME, LOCKS, aside
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


def unseen(stored: Stored) -> list[dict[str, Any]]:
    """Rows of lock_activity_s and blocking_session_s that are aside."""
    return stored.rows(
        "SELECT lock_activity_hk AS hk, load_date, load_end_date, hash_diff, satellite_id,"
        " resolution_action AS how FROM lock_engine.aside_lock_activity_s"
        " UNION ALL SELECT blocking_session_hk, load_date, load_end_date, hash_diff, satellite_id, ended_how"
        " FROM lock_engine.aside_blocking_session_s ORDER BY satellite_id, load_date"
    )


@pytest.mark.parametrize("tables", [("lock_activity_s",), ("lock_activity_s", "blocking_session_s")])
def test_rows_of_a_locked_tenant_are_kept_said_and_shown_later_with_their_own_times(
    server: Server, connect: Connect, session: OpenSession, tables: tuple[str, ...]
) -> None:
    """A partitioned table can have no child, so that they are not seen meanwhile."""
    dsn = partitioned(server, *tables)
    install(dsn)
    stored = Stored(connect(dsn))
    stored.connection.execute(
        "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source) VALUES (%s, 'ACME', 't')", [ACME]
    )
    stored.connection.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
    root, waiter, short = (session(dsn, application_name="tenant=ACME") for _ in range(3))
    root.run("LOCK TABLE t IN SHARE MODE")
    short.run("SELECT pg_advisory_xact_lock(1, 2)")
    waiter.start("LOCK TABLE t IN EXCLUSIVE MODE")
    waiter.wait_blocked()
    locker = session(dsn)
    locker.run(LOCKS["row for update"])
    stored.capture()
    first = unseen(stored)
    assert first and {row["load_end_date"] for row in first} == {None}
    assert stored.locks(waiter.pid) == []
    # not seen, and said: which table, why, how many
    stored.capture()
    part = stored.one("SELECT * FROM lock_engine.part_state WHERE part = 'rows of locked tenants'")
    assert part["failures_in_a_row"] >= 1 and part["set_aside"] == sum(
        stored.value(f"SELECT count(*) FROM lock_engine.aside_{table}") for table in tables
    )
    assert "lock_activity_s" in part["last_error"] and "is partitioned" in part["last_error"]
    # cycles that do not see them double nothing
    other = session(dsn)
    other.run("LOCK TABLE pg_catalog.pg_class IN ACCESS SHARE MODE")
    stored.capture()
    hubs = [row["hk"] for row in unseen(stored) if not row["load_end_date"]]
    assert len(hubs) == len(set(hubs)) and {row["hk"] for row in first} & set(hubs)
    # one that ends meanwhile ends, and nobody says how
    short.run("COMMIT")
    stored.capture()
    ended = [row for row in unseen(stored) if row["load_end_date"] and row["how"]]
    assert ended and {row["how"] for row in ended} == {"unknown"}
    stored.check_rules()
    locker.run("COMMIT")
    stored.capture()
    assert aside(stored) == 0
    assert (
        stored.value("SELECT failures_in_a_row FROM lock_engine.part_state WHERE part LIKE 'rows of%%'") == 0
    )
    waits = [row for row in stored.locks(waiter.pid) if not row["lock_granted"]]
    assert waits and min(row["load_date"] for row in waits) in {row["load_date"] for row in first}
    assert len([row for row in waits if not row["load_end_date"]]) == 1
    assert [
        row["resolution_action"] for row in stored.locks(short.pid) if row["lock_type"] == "advisory"
    ] == ["unknown"]
    stored.check_rules()
    root.run("COMMIT")
    waiter.result()
    stored.capture()
    stored.check_rules()


def test_the_copies_get_the_columns_that_the_published_tables_get(
    server: Server, connect: Connect, session: OpenSession
) -> None:
    """A partitioned table's copy is no child. A later release adds and widens columns; so does a site."""
    dsn = partitioned(server, "lock_activity_s", "blocking_session_s")
    install(dsn)
    stored = Stored(connect(dsn))
    names = ("lock_activity_s", "blocking_session_s")
    for name in names:
        stored.connection.execute(f"ALTER TABLE lock_engine.aside_{name} DROP COLUMN tenant_claim")
        stored.connection.execute(
            f"ALTER TABLE lock_engine.aside_{name} ALTER COLUMN application_name TYPE varchar(10)"
        )
        stored.connection.execute(f"ALTER TABLE lock_monitoring.{name} ADD COLUMN of_the_site text")
    install(dsn)
    of = (
        "SELECT array_agg((attname, format_type(atttypid, atttypmod))::text ORDER BY attname)"
        " FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
    )
    for name in names:
        assert stored.value(of, f"lock_engine.aside_{name}") == stored.value(of, f"lock_monitoring.{name}")
        stored.connection.execute(
            f"ALTER TABLE lock_monitoring.{name} ADD COLUMN since_then text DEFAULT 'x'"
        )
    stored.connection.execute(
        "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source) VALUES (%s, 'ACME', 't')", [ACME]
    )
    root = session(dsn, application_name="tenant=ACME, a name of more than ten")
    root.run("SELECT pg_advisory_xact_lock(1, 2)")
    locker = session(dsn)
    locker.run(LOCKS["row for update"])
    stored.capture()
    assert aside(stored) > 0
    locker.run("COMMIT")
    stored.capture()
    assert aside(stored) == 0
    (lock,) = [row for row in stored.locks(root.pid) if row["lock_type"] == "advisory"]
    assert (lock["tenant_claim"], lock["since_then"]) == (None, "x")


def test_what_is_aside_expires_in_its_time_while_its_tenant_stays_locked(
    server: Server, connect: Connect, session: OpenSession
) -> None:
    dsn = partitioned(server, "lock_activity_s", "blocking_session_s")
    install(dsn)
    stored = Stored(connect(dsn))
    stored.connection.execute(
        "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source) VALUES (%s, 'ACME', 't')", [ACME]
    )
    stored.connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
    old, waiter, young = (session(dsn, application_name="tenant=ACME") for _ in range(3))
    old.run("LOCK TABLE t IN EXCLUSIVE MODE")
    young.run("SELECT pg_advisory_xact_lock(1, 2)")
    waiter.start("LOCK TABLE t IN SHARE MODE")
    waiter.wait_blocked()
    locker = session(dsn)
    locker.run(LOCKS["row for update"])
    stored.capture()
    waiter.abandon()
    old.abandon()
    for pid in (old.pid, waiter.pid):
        stored.wait_gone(pid)
    stored.capture()
    count = "SELECT count(*) FROM lock_engine.aside_lock_activity_s WHERE lock_pid = ANY (%s)"
    gone = [old.pid, waiter.pid]
    assert stored.value(count, gone) and stored.value(count, [young.pid])
    assert stored.value("SELECT count(*) FROM lock_engine.aside_blocking_session_s") > 0
    for table in ("lock_activity", "blocking_session"):
        stored.connection.execute(
            f"UPDATE lock_engine.aside_{table}_s SET load_date = load_date - interval '40 days',"
            f" load_end_date = coalesce(load_end_date, now()) - interval '40 days'"
            f" WHERE {'lock_pid' if table == 'lock_activity' else 'session_pid'} = ANY (%s)",
            [gone],
        )
        stored.connection.execute(
            f"UPDATE lock_engine.aside_{table}_h h SET load_date = load_date - interval '40 days' WHERE"
            f" EXISTS (SELECT FROM lock_engine.aside_{table}_s s WHERE s.{table}_hk = h.{table}_hk"
            " AND s.load_date < now() - interval '30 days')"
        )
    report = str(stored.one("CALL lock_engine.clean_up(30)")["report"])
    assert "nothing expired is left" in report and "lock_activity_s: 0 rows" not in report, report
    assert stored.value(count, gone) == 0 and stored.value(count, [young.pid])
    for table in ("lock_activity", "blocking_session"):
        assert not stored.rows(
            f"SELECT FROM lock_monitoring.{table}_h h WHERE h.load_date < now() - interval '30 days'"
        )
    assert not stored.rows(
        "SELECT FROM lock_engine.aside_lock_blocking_l l WHERE NOT EXISTS (SELECT FROM"
        " lock_monitoring.lock_activity_h h WHERE h.lock_activity_hk = l.lock_activity_hk)"
    )
    stored.check_rules()
    locker.run("COMMIT")
    stored.capture()
    assert aside(stored) == 0 and stored.locks(young.pid)
    stored.check_rules()
