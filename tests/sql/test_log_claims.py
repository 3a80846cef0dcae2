"""Deadlocks that a log only claims: what proves them, what never does, and those an application caught."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from lockmon.monitor.deadlocks import DeadlockWatch
from onevault.embedded import account as accounts
from onevault.embedded import binaries
from tests.support import vaults
from tests.support.poll import poll
from tests.support.rings import Arena
from tests.support.servers import Server, throwaway
from tests.support.stored import Stored

FORGED = (
    "Process {pid} waits for ExclusiveLock on relation 1 of database 2; blocked by process 4242.\n"
    "Process 4242 waits for ExclusiveLock on relation 2 of database 2; blocked by process {pid}.\n"
    "Process {pid}: SELECT 1\nProcess 4242: DELETE FROM somebody_elses"
)


@pytest.fixture(scope="module")
def alone() -> Iterator[Server]:
    """A server that writes stderr alone, with PostgreSQL's own prefix: no code, no database."""
    with throwaway({"log_destination": "stderr", "log_line_prefix": "%m [%p] "}) as server:
        server.create_database(name="kept")
        vaults.install(server.dsn("kept"))
        yield server


@pytest.fixture
def vault(alone: Server) -> Iterator[str]:
    """A vault on it that has taken its first count."""
    name = alone.create_database(template="kept")
    with psycopg.connect(alone.dsn(name), autocommit=True) as monitor:
        monitor.execute("SELECT lock_engine.collect_deadlocks()")
    yield alone.dsn(name)
    alone.drop_database(name)


@pytest.fixture
def monitor(vault: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(vault, autocommit=True) as connection:
        yield connection


@pytest.fixture
def arena(vault: str) -> Iterator[Arena]:
    made = Arena(vault, 1, 2)
    yield made
    made.close()


def collect(monitor: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Take what is new; the deadlocks in the vault now."""
    monitor.execute("SELECT set_config('one_vault.counter_looked', '', false)")
    monitor.execute("SELECT lock_engine.collect_deadlocks()")
    with monitor.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT * FROM lock_monitoring.deadlock_history").fetchall()


def claims(monitor: psycopg.Connection[Any]) -> list[tuple[int, bool, bool]]:
    """Take what is new; pid, caught, waiting of each deadlock that is only claimed."""
    collect(monitor)
    return monitor.execute(
        "SELECT pid, caught, waits_for_proof FROM lock_engine.claimed_deadlocks('-infinity', 'infinity')"
        " ORDER BY logged_at, event_id"
    ).fetchall()


def ledger(monitor: psycopg.Connection[Any]) -> tuple[int, ...] | None:
    return monitor.execute(
        "SELECT counted, captured, by_sampling, by_log, missed FROM lock_engine.deadlock_ledger_summary()"
        " WHERE database_name = current_database()"
    ).fetchone()


def counted(monitor: psycopg.Connection[Any]) -> int:
    collect(monitor)
    row = ledger(monitor)
    return row[0] if row else 0


def ring(arena: Arena, idle: bool = False) -> tuple[int, int]:
    """A deadlock that the first session loses: its pid and the other's.

    idle: its client leaves the failed transaction open.
    """
    victim, other = arena.connections[:2]
    for number, one in enumerate((victim, other)):
        one.execute("BEGIN")
        one.execute(arena.take("row", number))
    failed: list[psycopg.Error] = []

    def lose() -> None:
        try:
            victim.execute(arena.take("row", 1))
        except psycopg.errors.DeadlockDetected as error:
            failed.append(error)

    _close(arena, lose)
    assert failed
    if not idle:
        victim.execute("ROLLBACK")
    return victim.info.backend_pid, other.info.backend_pid


def _close(arena: Arena, lose: Any, while_waiting: Any = None) -> None:
    """Let the second session wait, then close the ring with the first.

    The second never looks for a deadlock, so however slow the machine is the first is the one that loses.
    """
    victim, other = arena.connections[:2]
    other.execute("SET deadlock_timeout = '1h'")
    waiting = threading.Thread(target=other.execute, args=(arena.take("row", 0),))
    waiting.start()
    with psycopg.connect(arena.dsn, autocommit=True) as looker:
        waits = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
        pid = other.info.backend_pid
        poll(lambda: (looker.execute(waits, [pid]).fetchone() or (0,))[0], 10, "the first wait")
    closing = threading.Thread(target=lose)
    closing.start()
    while while_waiting and closing.is_alive():
        while_waiting()
        closing.join(0.03)
    closing.join()
    if victim.info.transaction_status != TransactionStatus.INERROR:
        # it lives on and still holds what the other wants
        return
    waiting.join()
    other.execute("ROLLBACK")


def forge(vault: str, detail: bool = True) -> int:
    """An ordinary user writes a deadlock into the log; his pid."""
    with psycopg.connect(vault, autocommit=True) as setup:
        setup.execute(
            "DO $$ BEGIN CREATE ROLE stranger LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
    user = psycopg.conninfo.make_conninfo(vault, user="stranger")
    with psycopg.connect(user, autocommit=True) as person:
        pid = person.info.backend_pid
        text = FORGED.format(pid=pid) if detail else ""
        with pytest.raises(psycopg.errors.DeadlockDetected):
            person.execute(
                sql.SQL(
                    "DO $$ BEGIN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01', DETAIL = {};"
                    " END $$"
                ).format(sql.Literal(text))
            )
        return pid


@pytest.fixture
def terse(alone: Server) -> Iterator[None]:
    """No CONTEXT in the log: nothing tells a RAISE from PostgreSQL's own error."""
    alone.execute("ALTER SYSTEM SET log_error_verbosity = terse")
    alone.execute("SELECT pg_reload_conf()")
    _until(alone, "terse")
    yield
    alone.execute("ALTER SYSTEM RESET log_error_verbosity")
    alone.execute("SELECT pg_reload_conf()")
    _until(alone, "default")


def _until(alone: Server, verbosity: str) -> None:
    def reloaded() -> bool:
        with psycopg.connect(alone.dsn()) as probe:
            return probe.execute("SHOW log_error_verbosity").fetchone() == (verbosity,)

    poll(reloaded, 10, "the reload")


def test_the_counter_proves_what_stderr_claims(monitor: psycopg.Connection[Any], arena: Arena) -> None:
    victim, other = ring(arena)
    [event] = poll(lambda: collect(monitor), 20, "the event")
    assert event["sources"] == ["log"] and event["deadlock_victim_pid"] == victim
    assert set(event["involved_pids"]) == {victim, other}
    assert any("the counter proves the deadlock alone" in unknown for unknown in event["unknown"])
    assert claims(monitor) == []
    assert ledger(monitor) == (1, 1, 0, 1, 0)
    stored = monitor.execute(
        "SELECT standing, proof, ledger_id IS NOT NULL FROM lock_log.event WHERE kind = 'deadlock'"
    ).fetchall()
    assert stored == [("proven", "counter", True)]


def test_a_claim_waits_while_its_session_idles_in_the_failed_transaction(
    monitor: psycopg.Connection[Any], arena: Arena
) -> None:
    victim, _ = ring(arena, idle=True)
    poll(lambda: claims(monitor) == [(victim, False, True)], 10, "the claim")
    # an hour later
    monitor.execute(
        "UPDATE lock_log.event"
        " SET stored_at = stored_at - interval '1 hour', there_at = now() - interval '11 minutes'"
    )
    assert claims(monitor) == [(victim, False, True)] and collect(monitor) == []
    assert ledger(monitor) is None or monitor.info.server_version < 150000
    arena.connections[0].execute("ROLLBACK")
    [event] = poll(lambda: collect(monitor), 20, "the event")
    assert event["deadlock_victim_pid"] == victim
    assert claims(monitor) == []


def test_the_alert_counts_a_deadlock_that_is_proven_late(
    monitor: psycopg.Connection[Any], arena: Arena
) -> None:
    """It looked at the last ten minutes by the deadlock's own time alone: such a one it never told of."""
    stored = Stored(monitor)
    alert = stored.value(
        "SELECT alert_query FROM monitoring.alert_configuration_s"
        " WHERE alert_name = 'New deadlocks' AND load_end_date IS NULL",
    )
    victim, _ = ring(arena, idle=True)
    poll(lambda: claims(monitor) == [(victim, False, True)], 10, "the claim")
    monitor.execute(
        "UPDATE lock_log.event"
        " SET logged_at = logged_at - interval '20 minutes', there_at = clock_timestamp()"
    )
    assert stored.value(alert) == 0
    arena.connections[0].execute("ROLLBACK")
    [event] = poll(lambda: collect(monitor), 20, "the event")
    assert event["deadlock_victim_pid"] == victim
    assert stored.value(alert) == 1
    monitor.execute("UPDATE lock_engine.deadlock_ledger SET window_end = window_end - interval '10 minutes'")
    assert stored.value(alert) == 0


def test_a_look_proves_it_at_once(monitor: psycopg.Connection[Any], arena: Arena) -> None:
    victim, other = arena.connections
    for number, one in enumerate((victim, other)):
        one.execute("BEGIN")
        one.execute(arena.take("row", number))
    watch = DeadlockWatch(monitor.cursor)

    def lose() -> None:
        with pytest.raises(psycopg.errors.DeadlockDetected):
            victim.execute(arena.take("row", 1))

    _close(arena, lose, watch.look)
    [event] = poll(lambda: collect(monitor), 10, "the event")
    assert event["sources"] == ["log", "sampling"]
    assert not any("the counter proves" in unknown for unknown in event["unknown"])
    proof = monitor.execute("SELECT proof FROM lock_log.event WHERE kind = 'deadlock'").fetchone()
    assert proof == ("sampling",)
    victim.execute("ROLLBACK")


def test_what_a_user_wrote_is_shown_and_never_an_event(monitor: psycopg.Connection[Any], vault: str) -> None:
    pid = forge(vault)
    poll(lambda: claims(monitor) == [(pid, False, False)], 10, "the claim")
    [(why, others)] = monitor.execute(
        "SELECT why, other_pids FROM lock_engine.claimed_deadlocks('-infinity', 'infinity')"
    ).fetchall()
    assert "RAISE" in why and others == [4242]


def test_what_comes_after_the_first_look_is_taken_whatever_its_second(alone: Server) -> None:
    """Where the first reading came to no end, it was held to be older than the copy."""
    with psycopg.connect(alone.dsn("kept"), autocommit=True) as admin:
        # a copy made in the second of the template's own install cannot be told from the install itself
        older = "SELECT clock_timestamp() - min(installed_at) > '2 s' FROM lock_engine.installation"
        poll(lambda: admin.execute(older).fetchone() == (True,), 10, "a template older than the copy")
        young = "SELECT date_part('microseconds', clock_timestamp())::integer % 1000000 < 100000"
        poll(lambda: admin.execute(young).fetchone() == (True,), 5, "a second's beginning", interval=0.005)
    name = alone.create_database(template="kept")
    with psycopg.connect(alone.dsn(name), autocommit=True) as monitor:
        monitor.execute("SELECT lock_engine.collect_deadlocks()")
        monitor.execute("UPDATE lock_log.state SET modified_at = NULL")
        # the last record of a log waits for what may follow it
        pids = [forge(alone.dsn(name)) for _ in range(2)]
        poll(lambda: {claim[0] for claim in claims(monitor)} == set(pids), 10, "the claims")
    alone.drop_database(name)


def test_more_claims_than_counted_prove_none(
    monitor: psycopg.Connection[Any], arena: Arena, vault: str, terse: None
) -> None:
    forged = forge(vault)
    victim, _ = ring(arena)
    poll(lambda: counted(monitor) == 1, 20, "the count")
    poll(lambda: len(claims(monitor)) == 2, 10, "both claims")
    settled = "SELECT bool_and(window_end < now() - interval '3 seconds') FROM lock_engine.deadlock_ledger"
    poll(lambda: (collect(monitor), monitor.execute(settled).fetchone())[1] == (True,), 20, "the moment")
    assert collect(monitor) == []
    assert {pid for pid, _, _ in claims(monitor)} == {forged, victim}
    # nothing proves them; they are shown as long as they are kept, and the deadlock is missed
    monitor.execute(
        "UPDATE lock_log.event SET stored_at = stored_at - interval '1 hour', there_at = NULL;"
        "UPDATE lock_engine.deadlock_ledger SET window_end = window_end - interval '20 seconds'"
    )
    collect(monitor)
    assert {(pid, waits) for pid, _, waits in claims(monitor)} == {(forged, False), (victim, False)}
    assert ledger(monitor) == (1, 0, 0, 0, 1)


def test_without_a_count_a_claim_is_never_proven(
    monitor: psycopg.Connection[Any], vault: str, terse: None
) -> None:
    pid = forge(vault)
    poll(lambda: claims(monitor) == [(pid, False, True)], 10, "the claim")
    old = "SELECT bool_and(stored_at < now() - interval '3 seconds') FROM lock_log.event"
    poll(lambda: (collect(monitor), monitor.execute(old).fetchone())[1] == (True,), 20, "the moment")
    assert collect(monitor) == []


def test_of_two_databases_that_counted_nobody_knows_whose_a_claim_is(
    alone: Server, monitor: psycopg.Connection[Any], arena: Arena
) -> None:
    elsewhere = alone.create_database()
    monitor.execute("SELECT lock_engine.collect_deadlocks()")
    victim, _ = ring(arena)
    poll(lambda: claims(monitor) == [(victim, False, True)], 10, "the claim")
    # somewhere else one was counted, too, of which the log has nothing
    monitor.execute(
        "INSERT INTO lock_engine.deadlock_ledger (database_name, window_start, window_end, counted)"
        " VALUES (%s, now() - interval '10 s', now(), 1)",
        [elsewhere],
    )
    poll(lambda: counted(monitor) == 1, 20, "the count")
    settled = "SELECT bool_and(window_end < now() - interval '3 seconds') FROM lock_engine.deadlock_ledger"
    poll(lambda: (collect(monitor), monitor.execute(settled).fetchone())[1] == (True,), 20, "the moment")
    assert collect(monitor) == [] and claims(monitor) == [(victim, False, True)]
    monitor.execute("DELETE FROM lock_engine.deadlock_ledger WHERE database_name = %s", [elsewhere])
    assert poll(lambda: collect(monitor), 10, "the event")[0]["deadlock_victim_pid"] == victim


def test_stderr_from_elsewhere_is_never_proven(monitor: psycopg.Connection[Any], vault: str) -> None:
    monitor.execute(
        "INSERT INTO lock_engine.deadlock_ledger"
        " (database_name, window_start, window_end, counted, missed, settled)"
        " VALUES (current_database(), '2026-11-22 03:12:40Z', '2026-11-22 03:12:42Z', 1, 1, true)"
    )
    text = (
        "2026-11-22 03:12:41.123 UTC [11] ERROR:  deadlock detected\n"
        "2026-11-22 03:12:41.123 UTC [11] DETAIL:  " + FORGED.format(pid=11).replace("\n", "\n\t") + "\n"
    )
    monitor.execute(
        "SELECT lock_log.ingest('elsewhere', 'stderr', 0, %s, true, '%%m [%%p] ')", [text.encode()]
    )
    monitor.execute("UPDATE lock_log.event SET stored_at = stored_at - interval '5 seconds'")
    assert claims(monitor) == [(11, False, False)] and collect(monitor) == []


def test_the_own_servers_file_read_late_is_proven_by_what_was_missed(
    alone: Server, monitor: psycopg.Connection[Any], arena: Arena
) -> None:
    monitor.execute(
        "UPDATE lock_log.state SET state = 'log not readable: for the test', readable = false,"
        " retry_at = 'infinity'"
    )
    victim, _ = ring(arena)
    poll(lambda: counted(monitor) == 1, 20, "the count")
    monitor.execute("UPDATE lock_engine.deadlock_ledger SET window_end = window_end - interval '20 seconds'")
    collect(monitor)
    assert ledger(monitor) == (1, 0, 0, 0, 1)
    monitor.execute("UPDATE lock_engine.deadlock_ledger SET window_end = window_end + interval '20 seconds'")

    [path] = alone.log_directory.glob("*.log")
    lines = path.read_bytes().splitlines(keepends=True)
    first = next(n for n, line in enumerate(lines) if b"[%d]" % victim in line and b"deadlock" in line)
    piece = b"".join(lines[first:])
    taken = "SELECT claimed FROM lock_log.ingest('own.log', 'stderr', 0, %s, true, '%%m [%%p] ')"
    row = monitor.execute(taken, [piece]).fetchone()
    assert row is not None and row[0] >= 1
    old = "SELECT bool_and(stored_at < now() - interval '3 seconds') FROM lock_log.event"
    poll(lambda: (collect(monitor), monitor.execute(old).fetchone())[1] == (True,), 20, "the moment")
    assert collect(monitor) == [], "it may be anybody's file"
    assert monitor.execute("SELECT lock_log.own_file('own.log') > 0").fetchone() == (True,)
    [event] = poll(lambda: collect(monitor), 20, "the event")
    assert event["deadlock_victim_pid"] == victim
    assert ledger(monitor) == (1, 1, 0, 1, 0)


CAUGHT = "DO $$ BEGIN {}; EXCEPTION WHEN deadlock_detected THEN {}; END $$"


@pytest.fixture(scope="module", params=["csvlog", "jsonlog", "stderr"])
def any_format(request: pytest.FixtureRequest) -> Iterator[str]:
    """A vault whose server writes one format."""
    settings = {"log_destination": str(request.param), "log_line_prefix": "%m [%p] "}
    if request.param == "jsonlog" and binaries.find(accounts.server_account()).major < 15:
        pytest.skip("jsonlog came with PostgreSQL 15")
    with throwaway(settings) as server:
        name = server.create_database()
        vaults.install(server.dsn(name))
        yield server.dsn(name)


@pytest.fixture
def caught_arena(any_format: str) -> Iterator[Arena]:
    made = Arena(any_format, 1, 2)
    with psycopg.connect(any_format, autocommit=True) as monitor:
        monitor.execute("SELECT lock_engine.collect_deadlocks()")
    yield made
    made.close()


def lose_quietly(arena: Arena, handler: str = "NULL", while_waiting: Any = None) -> tuple[int, int]:
    """A deadlock whose error the first session's own handler catches; both pids."""
    victim, other = arena.connections
    for number, one in enumerate((victim, other)):
        one.execute("BEGIN")
        one.execute(arena.take("row", number))
    errors: list[psycopg.Error] = []

    def lose() -> None:
        try:
            victim.execute(CAUGHT.format(arena.take("row", 1), handler))
        except psycopg.Error as error:
            errors.append(error)

    _close(arena, lose, while_waiting)
    victim.execute("ROLLBACK")
    other.execute("ROLLBACK")
    assert bool(errors) == ("RAISE" in handler)
    return victim.info.backend_pid, other.info.backend_pid


def of_pids(monitor: psycopg.Connection[Any], pids: tuple[int, int]) -> list[dict[str, Any]]:
    return [event for event in collect(monitor) if event["deadlock_victim_pid"] == pids[0]]


def test_a_deadlock_that_was_caught_is_an_event(any_format: str, caught_arena: Arena) -> None:
    with psycopg.connect(any_format, autocommit=True) as monitor:
        pids = lose_quietly(caught_arena)
        [event] = poll(lambda: of_pids(monitor, pids), 20, "the event")
        assert event["involved_pids"] == list(pids)
        assert event["deadlock_resolution"] == "caught by the application; ring not logged"
        assert any(unknown.startswith("ring: caught by the application") for unknown in event["unknown"])
        [first, second] = event["participants"]
        assert first["blocked_by"] == pids[1] and first["wanted_mode"] == "ShareLock"
        assert "blocked_by" not in second
        assert "UPDATE ring_1_1" in event["deadlock_victim_query"]
        assert "Nothing can be concluded about the ring" in event["prevention_suggestion"]
        balanced = "SELECT sum(counted - captured), sum(missed) FROM lock_engine.deadlock_ledger"
        poll(lambda: (collect(monitor), monitor.execute(balanced).fetchone())[1] == (0, 0), 20, "the ledger")
        assert len(of_pids(monitor, pids)) == 1


def test_an_error_raised_again_makes_one_event_with_its_ring(any_format: str, caught_arena: Arena) -> None:
    """Later than the moment that its wait is given: what was taken for caught becomes the whole deadlock."""
    with psycopg.connect(any_format, autocommit=True) as monitor:
        seen: list[list[dict[str, Any]]] = []
        handler = "PERFORM pg_sleep(5); RAISE"
        pids = lose_quietly(caught_arena, handler, lambda: seen.append(collect(monitor)))

        def whole() -> list[dict[str, Any]]:
            return [e for e in of_pids(monitor, pids) if e["deadlock_resolution"].startswith("statement")]

        [event] = poll(whole, 20, "the event")
        assert set(event["involved_pids"]) == set(pids)
        assert len(of_pids(monitor, pids)) == 1
        assert {edge["to"] for edge in event["deadlock_graph"]["edges"]} == set(pids)


def test_a_caught_deadlock_that_a_look_saw_has_its_ring(any_format: str, caught_arena: Arena) -> None:
    with psycopg.connect(any_format, autocommit=True) as monitor:
        watch = DeadlockWatch(monitor.cursor)
        pids = lose_quietly(caught_arena, while_waiting=watch.look)
        watch.look()
        poll(lambda: [e for e in of_pids(monitor, pids) if "log" in e["sources"]], 20, "the event")
        [event] = of_pids(monitor, pids)
        assert event["sources"] == ["log", "sampling"]
        assert event["deadlock_resolution"] == "caught by the application"
        assert {edge["to"] for edge in event["deadlock_graph"]["edges"]} == set(pids)


def test_an_error_of_the_applications_own_does_not_hide_the_caught_one(
    any_format: str, caught_arena: Arena
) -> None:
    """A handler that tells of the deadlock in its own words, with its code."""
    with psycopg.connect(any_format, autocommit=True) as monitor:
        pids = lose_quietly(caught_arena, "RAISE EXCEPTION 'try again' USING ERRCODE = '40P01'")
        [event] = poll(lambda: of_pids(monitor, pids), 20, "the event")
        assert event["deadlock_resolution"] == "caught by the application; ring not logged"
        assert "try again" not in str(event["log_excerpt"])
