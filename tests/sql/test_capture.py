"""capture_lock_activity(): what is stored of a lock, when it is written again, and how it ends."""

from __future__ import annotations

import socket
import struct
from typing import Any

import psycopg
import pytest

from tests.conftest import Connect, OpenSession
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.stored import Row, Stored
from tests.support.tangle import prepare


@pytest.fixture
def scene(vault_db: str) -> str:
    """A database with the vault and some tables."""
    prepare(vault_db)
    return vault_db


@pytest.fixture
def stored(scene: str, connect: Connect) -> Stored:
    """The vault, as the DBA reads it."""
    return Stored(connect(scene))


def on_table(stored: Stored, pid: int, table: str = "t0") -> list[Row]:
    """What is stored of a session's locks on one table."""
    return [row for row in stored.locks(pid) if row["table_name"] == table]


def hubs(stored: Stored, pid: int) -> int:
    """How many locks of a session have a hub."""
    return len({bytes(row["lock_activity_hk"]) for row in stored.locks(pid)})


def test_a_held_lock_is_stored_with_what_postgresql_knows(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    holder = session(scene, application_name="billing")
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    figures = stored.capture()
    assert figures["locks_captured"] >= 2 and figures["blocking_locks"] == 0, figures
    (row,) = on_table(stored, holder.pid)
    assert (row["lock_type"], row["lock_mode"], row["lock_granted"]) == ("relation", "ShareLock", True)
    assert (row["relation_name"], row["schema_name"], row["relation_type"]) == ("app.t0", "app", "table")
    assert (row["user_name"], row["application_name"]) == ("postgres", "billing")
    assert row["query_text"] == "LOCK TABLE app.t0 IN SHARE MODE"
    assert row["session_state"] == "idle in transaction"
    assert row["load_end_date"] is None and row["resolution_action"] is None
    # Nobody can know when it was taken, nor who waits where nobody does.
    unknown = ("lock_acquired_time", "wait_start", "blocking_pid", "page", "query_id", "lock_impact_score")
    assert {name: row[name] for name in unknown if name in row} == dict.fromkeys(
        (name for name in unknown if name in row), None
    )
    assert row["held_since_at_least"] is not None
    stored.check_rules()


def test_the_same_lock_seen_many_times_is_one_hub_and_one_row(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    holder = session(scene)
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    stored.capture()
    first = stored.locks(holder.pid)
    other = session(scene)
    for _ in range(15):
        # Something else changes each time, so that each capture compares in full.
        other.run("COMMIT")
        other.run("LOCK TABLE app.t1 IN SHARE MODE")
        stored.capture()
    assert stored.locks(holder.pid) == first and first
    assert hubs(stored, holder.pid) == len(first)


def test_nothing_changed_nothing_is_written(scene: str, stored: Stored, session: OpenSession) -> None:
    holder, waiter = session(scene), session(scene)
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    session(scene).run("LOCK TABLE app.t1 IN SHARE MODE")
    waiter.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.wait_blocked()

    def quiet() -> tuple[int, dict[str, Any], dict[str, Any]] | None:
        stored.cycle()
        before, place = stored.fingerprint(), stored.value("SELECT pg_current_wal_insert_lsn()")
        figures = stored.cycle()
        wal = int(stored.value("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", place))
        if not figures["monitoring_summary"].endswith("; unchanged"):
            return None  # a duration reached its next step in between
        return wal, before, stored.fingerprint()

    wal, before, after = poll(quiet, 10, "two cycles without a change")
    assert before == after
    assert wal <= 2048


def test_a_wait_is_stored_with_its_blocker_its_root_and_its_row(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    root, first, second = (session(scene) for _ in range(3))
    root.run("UPDATE app.t0 SET n = 1 WHERE id = 2")
    for one in (first, second):
        one.start("DELETE FROM app.t0 WHERE id = 2")
        one.wait_blocked()
    figures = stored.capture()
    assert figures["blocking_locks"] >= 2
    (wait,) = stored.locks(first.pid, "NOT lock_granted")
    assert wait["blocking_pid"] == root.pid and wait["blocked_by_count"] == 1
    assert wait["root_nodes"] == [root.pid]
    assert (wait["relation_name"], wait["row_page"], wait["row_tuple"]) == ("app.t0", 0, 2)
    assert wait["wait_start"] is not None and wait["lock_acquired_time"] is None
    (behind,) = stored.locks(second.pid, "NOT lock_granted")
    assert (behind["lock_type"], behind["blocking_pid"]) == ("tuple", first.pid)
    assert behind["root_nodes"] == [root.pid]
    links = stored.rows(
        "SELECT b.session_pid, a.lock_pid FROM lock_monitoring.lock_blocking_l l"
        " JOIN lock_monitoring.blocking_session_s b USING (blocking_session_hk)"
        " JOIN lock_monitoring.lock_activity_s a USING (lock_activity_hk)",
    )
    assert {(row["session_pid"], row["lock_pid"]) for row in links} == {
        (root.pid, first.pid),
        (first.pid, second.pid),
    }
    stored.check_rules()


@pytest.mark.parametrize("prepared", [False, True])
def test_a_wait_that_begins_while_a_cycle_looks_is_the_next_cycles(
    scene: str, stored: Stored, session: OpenSession, prepared: bool
) -> None:
    """A cycle has the graph made only where somebody waited when it began to look; a wait from after that
    would be stored as one behind nobody."""
    if prepared:
        gone = session(scene)
        gone.run("LOCK TABLE app.t1 IN SHARE MODE")
        gone.run("PREPARE TRANSACTION 'meanwhile'")
    holder, waiter = session(scene), session(scene)
    holder.run("LOCK TABLE app.t0 IN ACCESS EXCLUSIVE MODE")
    waiter.start("SELECT FROM app.t0")
    waiter.wait_blocked()
    stored.rows(
        "SELECT lock_engine.store_look(clock_timestamp(), '1 second', false, lock_catalog.own_pids(), 0,"
        " NULL)"
    )
    assert [row for row in stored.locks(waiter.pid) if not row["lock_granted"]] == []
    stored.capture()
    (row,) = [row for row in stored.locks(waiter.pid) if not row["lock_granted"]]
    assert row["blocking_nodes"] == [holder.pid] and row["blocked_by_count"] == 1
    if prepared:
        stored.connection.execute("ROLLBACK PREPARED 'meanwhile'")


def test_a_lock_that_is_let_go_is_released(scene: str, stored: Stored, session: OpenSession) -> None:
    holder = session(scene)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    stored.capture()
    holder.run("COMMIT")
    stored.capture()
    (row,) = on_table(stored, holder.pid)
    assert row["resolution_action"] == "released" and row["load_end_date"] == row["resolution_timestamp"]
    stored.check_rules()


def test_taken_again_it_is_the_same_hub_and_a_new_row(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    holder = session(scene)
    for _ in range(3):
        holder.run("LOCK TABLE app.t0 IN SHARE MODE")
        stored.capture()
        holder.run("COMMIT")
        stored.capture()
    rows = on_table(stored, holder.pid)
    assert [row["resolution_action"] for row in rows] == ["released"] * 3
    assert len({bytes(row["lock_activity_hk"]) for row in rows}) == 1
    stored.check_rules()


def test_a_wait_that_gets_its_lock_is_granted_and_goes_on_as_a_held_lock(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    holder, waiter = session(scene), session(scene)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    waiter.start("LOCK TABLE app.t0 IN EXCLUSIVE MODE")
    waiter.wait_blocked()
    stored.capture()
    holder.run("COMMIT")
    waiter.result()
    stored.capture()
    wait, held = on_table(stored, waiter.pid)
    assert wait["resolution_action"] == "granted" and wait["load_end_date"] == held["load_date"]
    assert (wait["lock_granted"], held["lock_granted"]) == (False, True)
    assert held["lock_acquired_time"] == held["load_date"]
    assert wait["lock_activity_hk"] == held["lock_activity_hk"]
    stored.check_rules()


def test_a_row_wait_that_ends_well_is_granted(scene: str, stored: Stored, session: OpenSession) -> None:
    holder, waiter = session(scene), session(scene)
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.wait_blocked()
    stored.capture()
    holder.run("COMMIT")
    waiter.result()
    stored.capture()
    (wait,) = stored.locks(waiter.pid, "NOT lock_granted")
    assert wait["resolution_action"] == "granted"


def test_a_wait_whose_statement_is_cancelled_is_cancelled(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    holder, waiter = session(scene), session(scene)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    waiter.start("LOCK TABLE app.t0 IN EXCLUSIVE MODE")
    waiter.wait_blocked()
    stored.capture()
    stored.value("SELECT pg_cancel_backend(%s)", waiter.pid)
    with pytest.raises(psycopg.errors.QueryCanceled):
        waiter.result()
    stored.capture()
    (wait,) = stored.locks(waiter.pid, "NOT lock_granted")
    assert wait["resolution_action"] == "cancelled"
    assert stored.episodes(holder.pid)[-1]["ended_how"] == "waiters gone"
    stored.check_rules()


def test_what_vanishes_with_its_session_says_so(scene: str, stored: Stored, session: OpenSession) -> None:
    """pg_terminate_backend() from elsewhere leaves no trace but the missing session."""
    holder = session(scene)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    stored.capture()
    stored.value("SELECT pg_terminate_backend(%s)", holder.pid)
    stored.wait_gone(holder.pid)
    stored.capture()
    (row,) = on_table(stored, holder.pid)
    assert row["resolution_action"] == "session gone"
    stored.check_rules()


def test_what_the_door_ends_is_terminated(
    scene: str, stored: Stored, session: OpenSession, connect: Connect
) -> None:
    stored.connection.execute(
        "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'capture_rw') THEN"
        " CREATE ROLE capture_rw LOGIN; END IF; END $$"
    )
    stored.connection.execute("GRANT USAGE ON SCHEMA app TO capture_rw")
    stored.connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA app TO capture_rw")
    holder, waiter = session(scene, user="capture_rw"), session(scene)
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.wait_blocked()
    stored.capture()
    start = stored.value("SELECT backend_start FROM lock_catalog.sessions WHERE pid = %s", holder.pid)
    asked = stored.one(
        "SELECT * FROM lock_admin.request_action('terminate', %s, %s, 'a test')", holder.pid, start
    )
    assert asked["accepted"], asked
    done = stored.one("SELECT * FROM lock_admin.execute_action(%s)", asked["action_id"])
    assert done["outcome"] == "terminated", done
    waiter.result()
    stored.capture()
    assert {row["resolution_action"] for row in stored.locks(holder.pid)} == {"terminated"}
    assert stored.episodes(holder.pid)[-1]["ended_how"] == "terminated"
    (wait,) = stored.locks(waiter.pid, "NOT lock_granted")
    assert wait["resolution_action"] == "granted"
    stored.check_rules()


def test_after_a_restart_of_the_server_nothing_old_stays_open(
    server: Server, scene: str, session: OpenSession
) -> None:
    holder, waiter = session(scene), session(scene)
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.wait_blocked()
    pids = [holder.pid, waiter.pid]
    with psycopg.connect(scene, autocommit=True) as before:
        Stored(before).capture()
    server.restart()
    with psycopg.connect(scene, autocommit=True) as after:
        stored = Stored(after)
        stored.capture()
        for pid in pids:
            assert {row["resolution_action"] for row in stored.locks(pid)} == {"server restarted"}
        assert stored.episodes(holder.pid)[-1]["ended_how"] == "server restarted"
        stored.check_rules()


def test_a_wait_is_written_again_only_when_its_duration_reaches_the_next_step(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    holder, waiter = session(scene), session(scene)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    waiter.start("LOCK TABLE app.t0 IN EXCLUSIVE MODE")
    waiter.wait_blocked()

    def versions() -> list[Row] | None:
        stored.capture()
        found = on_table(stored, waiter.pid)
        return found if len(found) >= 3 else None

    rows = poll(versions, 30, "three versions of the wait")
    steps = stored.value("SELECT lock_engine.duration_steps()")
    reached = [sum(step <= row["lock_duration_seconds"] for step in steps) for row in rows]
    assert reached == sorted(set(reached)), "one version a step, however many cycles"
    assert len({bytes(row["hash_diff"]) for row in rows}) == len(rows)
    assert hubs(stored, waiter.pid) == len(
        {row["object_key"] + row["lock_mode"] for row in stored.locks(waiter.pid)}
    )
    stored.check_rules()


def test_the_steps_are_geometric_and_an_hour_costs_a_dozen_rows(stored: Stored) -> None:
    steps = stored.value("SELECT lock_engine.duration_steps()")
    assert steps[:12] == [0, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600]
    assert steps == sorted(steps)


def test_captures_in_one_transaction_see_what_happens_between_them(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    """The guide's DO loop: many captures in one transaction, which caches activity and stops now()."""
    monitor, holder = session(scene, application_name="guide"), session(scene)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    assert monitor.run("SELECT locks_captured FROM lock_monitoring.capture_lock_activity()")
    holder.run("COMMIT")
    holder.run("LOCK TABLE app.t1 IN SHARE MODE")
    monitor.run("SELECT * FROM lock_monitoring.capture_lock_activity()")
    holder.close()
    stored.wait_gone(holder.pid)
    monitor.run("SELECT * FROM lock_monitoring.capture_lock_activity()")
    monitor.run(
        "DO $$ BEGIN FOR i IN 1..5 LOOP PERFORM lock_monitoring.capture_lock_activity(); END LOOP; END $$"
    )
    monitor.run("COMMIT")
    (first,), (second,) = on_table(stored, holder.pid), on_table(stored, holder.pid, "t1")
    assert first["resolution_action"] == "released"
    assert second["resolution_action"] == "session gone"
    stored.check_rules()


def test_a_lock_in_another_database_keeps_its_number_and_no_invented_name(
    server: Server, scene: str, stored: Stored, session: OpenSession
) -> None:
    other = server.create_database()
    try:
        server.execute("CREATE TABLE far_away (id int)", other)
        holder = session(other)
        holder.run("LOCK TABLE far_away IN SHARE MODE")
        stored.capture()
        (row,) = stored.locks(holder.pid, "lock_mode = 'ShareLock'")
        assert row["database_name"] == other and row["relation_oid"] is not None
        assert [row[name] for name in ("relation_name", "schema_name", "table_name", "relation_type")] == [
            None
        ] * 4
        holder.close()
    finally:
        server.drop_database(other)


def test_an_index_is_named_as_an_index(scene: str, stored: Stored, session: OpenSession) -> None:
    holder = session(scene)
    holder.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    stored.capture()
    (row,) = stored.locks(holder.pid, "index_name IS NOT NULL")
    assert (row["index_name"], row["table_name"], row["relation_name"]) == ("t0_pkey", None, "app.t0_pkey")


def test_the_monitors_own_logins_are_not_recorded(scene: str, stored: Stored, session: OpenSession) -> None:
    named_like_it = session(scene, application_name="one_vault_lockmon:loop")
    own = session(scene, user="onevault_app", application_name="something else")
    stored.connection.execute(
        "UPDATE lock_admin.setting SET value = '[\"onevault_app\"]' WHERE name = 'monitor.own_logins'"
    )
    own.run("SELECT count(*) FROM lock_monitoring.lock_activity_s")
    named_like_it.run("LOCK TABLE app.t0 IN SHARE MODE")
    stored.capture()
    assert stored.locks(own.pid) == []
    assert stored.locks(stored.connection.info.backend_pid) == []
    # By login, not by name: anybody can call himself like the monitor.
    assert on_table(stored, named_like_it.pid)


def test_what_a_connection_holds_before_it_has_logged_in_is_nobodys(
    server: Server, scene: str, stored: Stored, session: OpenSession
) -> None:
    """18 shows a backend that still asks for the password, without a user: it may be the monitor's own."""
    holder = session(scene)
    holder.run("LOCK TABLE app.t0 IN SHARE MODE")
    pids = "SELECT l.pid FROM pg_locks l WHERE l.pid IS NOT NULL AND l.locktype = 'virtualxid'"
    known = {row["pid"] for row in stored.rows(pids)}
    with socket.create_connection(("127.0.0.1", server.port)) as knocking:
        words = b"user\0onevault_app\0database\0postgres\0\0"
        knocking.sendall(struct.pack("!ii", 8 + len(words), 3 << 16) + words)
        assert knocking.recv(1) == b"R", "the server asks for a password"
        new = [row["pid"] for row in stored.rows(pids) if row["pid"] not in known]
        if server.version >= 18:
            (state,) = stored.rows("SELECT state, usename FROM pg_stat_activity WHERE pid = %s", new[0])
            assert state == {"state": "starting", "usename": None}
        stored.capture()
        assert on_table(stored, holder.pid)
        assert [stored.locks(pid) for pid in new] == [[] for _ in new] != []


def test_a_prepared_transaction_is_recorded_as_a_blocker_until_it_is_decided(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    maker, waiter = session(scene), session(scene)
    maker.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    xid = int(maker.run("SELECT pg_current_xact_id()::text")[0][0])
    maker.run("PREPARE TRANSACTION 'left behind'")
    waiter.start("UPDATE app.t0 SET n = 1 WHERE id = 1")
    waiter.wait_blocked()
    stored.capture()
    (episode,) = stored.episodes(-xid)
    assert (episode["session_pid"], episode["prepared_gid"]) == (0, "left behind")
    assert episode["is_root"] and episode["auto_kill_eligible"] is False
    held = stored.locks(0, "lock_type = 'transactionid'")
    assert [row["lock_transactionid"] for row in held] == [xid]
    (wait,) = stored.locks(waiter.pid, "NOT lock_granted")
    assert wait["blocking_pid"] == 0 and wait["blocking_nodes"] == [-xid]
    stored.connection.execute("ROLLBACK PREPARED 'left behind'")
    waiter.result()
    stored.capture()
    assert stored.episodes(-xid)[-1]["ended_how"] == "released"
    assert {row["resolution_action"] for row in stored.locks(0)} == {"released"}
    stored.check_rules()


def test_a_prepared_transactions_locks_are_recorded_while_nobody_waits(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    maker = session(scene)
    maker.run("UPDATE app.t0 SET n = 1 WHERE id = 1")
    xid = int(maker.run("SELECT pg_current_xact_id()::text")[0][0])
    maker.run("PREPARE TRANSACTION 'forgotten'")
    (prepared_at,) = stored.connection.execute("SELECT prepared FROM pg_prepared_xacts").fetchone() or (None,)
    stored.capture()
    held = {(row["lock_type"], row["relation_name"]): row for row in stored.locks(0)}
    assert [row["lock_transactionid"] for (kind, _), row in held.items() if kind == "transactionid"] == [xid]
    table = held["relation", "app.t0"]
    assert (table["lock_mode"], table["user_name"]) == ("RowExclusiveLock", "postgres")
    assert table["database_name"] == stored.connection.info.dbname
    assert table["session_id"] is None and table["query_text"] is None
    assert table["held_since_at_least"] == prepared_at, "since then at the latest"
    stored.capture()
    assert len(stored.locks(0)) == len(held), "nothing has changed"
    stored.connection.execute("COMMIT PREPARED 'forgotten'")
    stored.capture()
    assert {row["resolution_action"] for row in stored.locks(0)} == {"released"}
    stored.check_rules()
