"""What the server log proves of a wait stands in the place of what two looks could tell of its end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from psycopg import errors

from tests.conftest import Connect, OpenSession
from tests.support import ended_waits
from tests.support.poll import poll
from tests.support.servers import Server, throwaway
from tests.support.sessions import Session
from tests.support.stored import Row, Stored
from tests.support.tangle import prepare
from tests.support.vaults import install

ROW = "UPDATE app.t0 SET n = 1 WHERE id = 1"
QUICK = "options='-c deadlock_timeout=100ms'"


@pytest.fixture
def scene(vault_db: str) -> str:
    prepare(vault_db)
    return vault_db


@pytest.fixture
def stored(scene: str, connect: Connect) -> Stored:
    return Stored(connect(scene))


def last_end(stored: Stored, pid: int) -> Row:
    """The end of a session's last wait."""
    return stored.locks(pid, "NOT lock_granted AND resolution_action IS NOT NULL")[-1]


def logged(stored: Stored, pid: int, kind: str) -> Row:
    """Read the log until it has such a record of the process; the record."""

    def found() -> Row | None:
        stored.value("SELECT lock_engine.collect_deadlocks()")
        rows = stored.rows("SELECT * FROM lock_log.event WHERE pid = %s AND kind = %s", pid, kind)
        return rows[-1] if rows else None

    return poll(found, 10, f"a record of kind {kind}")


def wait_that_is_logged(stored: Stored, holder: Session, waiter: Session, statement: str = ROW) -> None:
    """One waits for the other, is seen waiting, and the log says so."""
    holder.run(statement)
    waiter.start(statement)
    waiter.wait_blocked()
    stored.capture()
    logged(stored, waiter.pid, "waiting")


@pytest.mark.parametrize("first", ["log", "look"])
@pytest.mark.parametrize(
    "statement", [ROW, "LOCK TABLE app.t0 IN EXCLUSIVE MODE", "SELECT pg_advisory_xact_lock(18, 3)"]
)
def test_a_grant_is_told_to_the_millisecond(
    scene: str, stored: Stored, session: OpenSession, statement: str, first: str
) -> None:
    holder, waiter = session(scene), session(f"{scene} {QUICK}")
    wait_that_is_logged(stored, holder, waiter, statement)
    if first == "look":
        # as if the log were read late
        stored.connection.execute(
            "UPDATE lock_log.state SET retry_at = clock_timestamp() + interval '1 hour'"
        )
    holder.run("COMMIT")
    waiter.result()
    waiter.run("COMMIT")
    waiter.close()
    stored.wait_gone(waiter.pid)
    if first == "look":
        stored.capture()
        before = last_end(stored, waiter.pid)
        assert (before["resolution_action"], before["log_end_at"]) == ("unknown", None)
        stored.connection.execute("UPDATE lock_log.state SET retry_at = NULL")
        record = logged(stored, waiter.pid, "acquired")
    else:
        record = logged(stored, waiter.pid, "acquired")
        stored.capture()
    wait = last_end(stored, waiter.pid)
    assert wait["resolution_action"] == "granted"
    assert wait["waited_ms"] == record["waited_ms"]
    assert abs(wait["log_end_at"] - record["logged_at"]) < timedelta(seconds=1)
    assert wait["resolution_timestamp"] == wait["log_end_at"]
    assert wait["last_seen_at"] <= wait["log_end_at"]
    (said,) = stored.rows(
        "SELECT wait_seconds, is_exact, wait_end = wait_end_at_most AS known, how_ended"
        " FROM lock_engine.waits_between(NULL, '2020-01-01', '2100-01-01') WHERE session = %s",
        waiter.pid,
    )
    assert said["wait_seconds"] * 1000 == record["waited_ms"]
    assert said["is_exact"] and said["known"] and said["how_ended"] == "granted"
    assert stored.rows("SELECT FROM lock_engine.wait_end WHERE lock_pid = %s", waiter.pid) == []


@pytest.mark.parametrize("error", ["lock timeout", "cancelled", "terminated", "deadlock"])
def test_what_ended_a_wait_is_told_though_the_way_is_free(
    scene: str, stored: Stored, session: OpenSession, error: str
) -> None:
    holder, waiter = session(scene), session(f"{scene} {QUICK}")
    if error == "lock timeout":
        waiter.run("SET lock_timeout = '2s'")
        waiter.run("COMMIT")
    if error == "deadlock":
        holder.run("SET deadlock_timeout = '50ms'")
        waiter.run("UPDATE app.t0 SET n = 1 WHERE id = 2")
    wait_that_is_logged(stored, holder, waiter)
    loser = waiter
    if error == "lock timeout":
        with pytest.raises(errors.LockNotAvailable):
            waiter.result()
    elif error == "deadlock":
        loser = holder
        with pytest.raises(errors.DeadlockDetected):
            holder.run("UPDATE app.t0 SET n = 1 WHERE id = 2")
        waiter.result()
        # the victim's own wait is too short for a look: what is told is that of the other
        loser = waiter
    else:
        stored.value(f"SELECT pg_{'cancel' if error == 'cancelled' else 'terminate'}_backend(%s)", waiter.pid)
        with pytest.raises((errors.QueryCanceled, psycopg.OperationalError)):
            waiter.result()
    holder.run("ROLLBACK")
    kind = {"lock timeout": "lock_timeout", "deadlock": "acquired"}.get(error, error)
    logged(stored, loser.pid, kind)
    stored.capture()
    wait = last_end(stored, loser.pid)
    assert wait["resolution_action"] == ("granted" if error == "deadlock" else error)
    assert wait["log_end_at"] is not None


@pytest.mark.parametrize(
    "change",
    [
        "standing = 'claimed'",
        "session_id = '1.1'",
        "lock_mode = 'ExclusiveLock'",
        "transactionid = transactionid + 1",
        "waited_ms = waited_ms + 10000",
        "source = 'file:elsewhere.csv'",
    ],
)
def test_a_record_that_is_not_proven_to_be_of_this_wait_changes_nothing(
    scene: str, stored: Stored, session: OpenSession, change: str
) -> None:
    holder, waiter = session(scene), session(f"{scene} {QUICK}")
    wait_that_is_logged(stored, holder, waiter)
    holder.run("COMMIT")
    waiter.result()
    waiter.run("COMMIT")
    logged(stored, waiter.pid, "acquired")
    stored.connection.execute(f"UPDATE lock_log.event SET {change} WHERE pid = %s", [waiter.pid])
    stored.capture()
    wait = last_end(stored, waiter.pid)
    assert (wait["resolution_action"], wait["log_end_at"], wait["waited_ms"]) == ("unknown", None, None)


def test_a_later_timeout_of_the_session_is_not_that_of_a_wait_before(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    """The log is silent about a wait shorter than deadlock_timeout: what follows may be of the next one."""
    holder, waiter, other = session(scene), session(scene), session(scene)
    holder.run(ROW)
    other.run("UPDATE app.t1 SET n = 1 WHERE id = 1")
    waiter.run("SET deadlock_timeout = '1min'")
    waiter.start(ROW)
    waiter.wait_blocked()
    stored.capture()
    holder.run("COMMIT")
    waiter.result()
    waiter.run("SET lock_timeout = '10ms'")
    with pytest.raises(errors.LockNotAvailable):
        waiter.run("UPDATE app.t1 SET n = 1 WHERE id = 1")
    logged(stored, waiter.pid, "lock_timeout")
    stored.capture()
    assert last_end(stored, waiter.pid)["resolution_action"] == "unknown"


def test_an_hour_that_was_added_up_is_added_up_again(
    scene: str, stored: Stored, session: OpenSession
) -> None:
    holder, waiter = session(scene), session(f"{scene} {QUICK}")
    wait_that_is_logged(stored, holder, waiter)
    holder.run("COMMIT")
    waiter.result()
    logged(stored, waiter.pid, "acquired")
    stored.connection.execute(
        "INSERT INTO lock_engine.wait_rollup_state (rolled_from, rolled_until)"
        " SELECT h, h + interval '1 hour' FROM date_trunc('hour', clock_timestamp(), 'UTC') h"
        " ON CONFLICT (state_id) DO UPDATE SET rolled_until = EXCLUDED.rolled_until"
    )
    stored.capture()
    assert last_end(stored, waiter.pid)["log_end_at"] is not None
    assert stored.value("SELECT rolled_until <= clock_timestamp() FROM lock_engine.wait_rollup_state")


def test_without_a_log_nothing_waits_for_it(scene: str, stored: Stored, session: OpenSession) -> None:
    stored.read_no_log()
    holder, waiter = session(scene), session(scene)
    holder.run(ROW)
    waiter.start(ROW)
    waiter.wait_blocked()
    stored.capture()
    holder.run("COMMIT")
    waiter.result()
    stored.capture()
    assert last_end(stored, waiter.pid)["not_seen_at"] is not None
    assert stored.rows("SELECT FROM lock_engine.wait_end") == []


@pytest.mark.parametrize(
    ("kind", "text", "key"),
    [
        ("transactionid", "transaction 733", "transactionid:733"),
        ("relation", "relation 16385 of database 5", "relation:5:16385"),
        ("tuple", "tuple (0,1) of relation 16385 of database 5", "tuple:5:16385:0:1"),
        ("advisory", "advisory lock [5,0,7,1]", "advisory:5:0:7:1"),
        ("virtualxid", "virtual transaction 3/4", "virtualxid:3/4"),
        ("object", "object 10 of class 1262 of database 0", "object:0:1262:10"),
        ("extend", "extension of relation 16385 of database 5", "extend:5:16385"),
        ("page", "page 9 of relation 16385 of database 5", "page:5:16385:9"),
        ("spectoken", "speculative token 1 of transaction 733", None),
    ],
)
def test_the_object_of_a_record_as_the_vault_has_it(
    stored: Stored, kind: str, text: str, key: str | None
) -> None:
    found = stored.one(
        "SELECT o.lock_type, lock_log.object_key(o.lock_type, %s, o.database_oid, o.relation_oid, o.page,"
        " o.tuple, o.transactionid) AS key FROM lock_log.parse_object(%s) o",
        text,
        text,
    )
    assert found == {"lock_type": kind, "key": key}


@pytest.fixture(params=["with the log", "without"])
def busy(request: pytest.FixtureRequest) -> Iterator[tuple[Server, bool]]:
    """A server whose waits are logged soon, or one without a log."""
    logs = request.param == "with the log"
    settings = {"deadlock_timeout": "200ms"}
    if not logs:
        settings |= {"logging_collector": "off", "log_destination": "stderr"}
    with throwaway(settings) as server:
        yield server, logs


@pytest.mark.slow
def test_waits_of_short_connections_end_as_their_clients_say(busy: tuple[Server, bool]) -> None:
    """The smaller version of tests/bench/bench_endings.py."""
    server, logs = busy
    dsn = server.dsn(server.create_database())
    install(dsn)
    over = threading.Event()

    def watch() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not over.wait(0.25):
                connection.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        truths = ended_waits.make(dsn, 12, 14, lambda chance: chance.uniform(0.5, 1.5), seed=5, lanes=3)
        with psycopg.connect(dsn, autocommit=True) as connection:
            stored = Stored(connection)
            waiting = (
                "SELECT FROM lock_monitoring.lock_activity_s WHERE load_end_date IS NULL AND NOT lock_granted"
            )
            poll(lambda: not stored.rows(waiting), what="the last end")
            if logs:
                pending = "SELECT FROM lock_engine.wait_end"
                poll(lambda: [stored.capture(), not stored.rows(pending)][1], 30, "what the log has to say")
    finally:
        over.set()
        watching.join()
    with psycopg.connect(dsn, autocommit=True) as connection:
        stored = Stored(connection)
        pairs = ended_waits.pair(truths, stored.rows(ended_waits.STORED))
        stored.check_rules()
    assert len(pairs) > len(truths) / 2
    wrong = [(truth, row, ended_waits.faults(truth, row)) for truth, row in pairs]
    assert "\n".join(str(one) for one in wrong if one[2]) == ""
    if logs:
        assert [(truth, row) for truth, row in pairs if row["how"] != truth.ending] == []
        assert {truth.ending for truth, _ in pairs} >= {"granted", "lock timeout", "cancelled", "terminated"}
    else:
        assert {row["log_end"] for _, row in pairs} == {None}


def test_waits_that_ended_look_up_their_own_records(stored: Stored) -> None:
    """Each had all records of the log compared with it: a storm made a cycle take seconds."""
    stored.connection.execute("SELECT lock_engine.collect_deadlocks()")  # which finds the log
    with stored.connection.transaction(force_rollback=True):
        stored.connection.execute(
            "INSERT INTO lock_log.event"
            " (record_hash, kind, logged_at, pid, session_id, source, stored_at, standing)"
            " SELECT 'many-' || g, 'waiting', clock_timestamp(), 100000 + g, 'x', 'server', now(), 'proven'"
            "   FROM generate_series(1, 2000) g;"
            " INSERT INTO lock_engine.wait_end"
            " SELECT sha256(int4send(g)), now(), 200000 + g, 'y', false, 'ShareLock', 'transactionid:7',"
            "        now(), false, now(), now() FROM generate_series(1, 300) g"
        )
        read = (
            "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) AS n FROM pg_stat_xact_user_tables"
            " WHERE relid = 'lock_log.event'::regclass"
        )
        before = stored.value(read)
        assert stored.value("SELECT count(*) FROM lock_log.state WHERE readable") == 1
        assert stored.value("SELECT lock_engine.settle_endings()") == 0
        assert stored.value(read) - before <= 300
