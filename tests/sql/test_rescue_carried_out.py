"""Rescue plans carried out: real sessions, real stops through the door, pg_blocking_pids() as the judge."""

from __future__ import annotations

import psycopg
import pytest

from tests.conftest import Connect, OpenSession
from tests.support import doors
from tests.support.doors import ORDINARY
from tests.support.poll import poll
from tests.support.rescue import PLAN, Scene
from tests.support.servers import Server


@pytest.fixture
def scene(server: Server, vault_db: str, session: OpenSession, connect: Connect) -> Scene:
    """The door's table and logins, and a second table."""
    doors.prepare(server, vault_db)
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("CREATE TABLE app.ledger (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)")
        connection.execute("INSERT INTO app.ledger (id) SELECT generate_series(1, 20)")
        connection.execute(f"ALTER TABLE app.ledger OWNER TO {ORDINARY}")
    return Scene(vault_db, session, connect)


def update(row: int, table: str = "accounts") -> str:
    """A statement that wants one row."""
    column = "balance" if table == "accounts" else "n"
    return f"UPDATE app.{table} SET {column} = {column} + 1 WHERE id = {row}"


def test_a_rows_queue_goes_on_one_by_one(scene: Scene) -> None:
    root = scene.open(update(1), name="billing-worker")
    for _ in range(4):
        scene.wait(update(1))
    (text,) = [one["text"] for one in scene.plan()]
    assert text.startswith(
        f"Terminate billing-worker ({root.pid}): frees 1, the next 3 follow as each commits (one row: no stop"
        " frees more); loses its transaction, "
    )
    assert scene.carry_out() == [("terminate", root.pid, 1, 3)]
    assert scene.let_through() == 3
    assert scene.plan() == []


def test_a_queued_ddl_before_many_readers_is_cancelled(scene: Scene) -> None:
    scene.open("SELECT count(*) FROM app.accounts")
    ddl = scene.wait("ALTER TABLE app.accounts ADD COLUMN note text", name="migrate")
    for _ in range(7):
        scene.wait("SELECT count(*) FROM app.accounts")
    assert [one["text"] for one in scene.plan()] == [
        f"Cancel migrate ({ddl.pid}): frees 7 at once; loses nothing."
    ]
    assert scene.carry_out() == [("cancel", ddl.pid, 7, 0)]
    assert scene.blocked() == set()


def test_a_transaction_that_holds_many_rows_frees_all_at_once(scene: Scene) -> None:
    root = scene.open(*(update(row) for row in range(1, 6)))
    for row in range(1, 6):
        scene.wait(update(row))
    assert scene.carry_out() == [("terminate", root.pid, 5, 0)]


def test_two_that_hold_up_one_are_stopped_together(scene: Scene) -> None:
    one, other = (scene.open("SELECT count(*) FROM app.accounts") for _ in range(2))
    scene.wait("LOCK TABLE app.accounts IN ACCESS EXCLUSIVE MODE")
    first, second = scene.plan()
    assert first["text"].endswith(
        "frees nobody by itself, 1 at once with the next step; loses nothing but its connection."
    )
    assert second["frees_at_once"] == 1
    assert {pid for _, pid, _, _ in scene.carry_out()} == {one.pid, other.pid}
    assert scene.blocked() == set()


def test_the_largest_of_independent_queues_comes_first(scene: Scene) -> None:
    """Who holds more rows frees more, and of equals the younger loses less."""
    old = scene.open(update(1))
    large = scene.open(update(2), update(3))
    young = scene.open(update(4))
    for row in (1, 2, 3, 4):
        scene.wait(update(row))
    assert scene.carry_out() == [
        ("terminate", large.pid, 2, 0),
        ("terminate", young.pid, 1, 0),
        ("terminate", old.pid, 1, 0),
    ]


def test_a_chain_is_broken_where_least_is_lost(scene: Scene) -> None:
    scene.open(update(1))
    scene.wait(update(1), update(2))
    young = scene.wait(update(2), update(3))
    last = scene.wait(update(3))
    assert scene.blocked() >= {young.pid, last.pid}
    (action, pid, freed, follow), *_ = scene.carry_out()
    assert (action, pid, freed, follow) == ("terminate", young.pid, 1, 0)


def test_of_like_locks_that_conflict_with_each_other_one_is_granted(scene: Scene) -> None:
    root = scene.open("LOCK TABLE app.ledger IN SHARE ROW EXCLUSIVE MODE")
    for _ in range(3):
        scene.wait("LOCK TABLE app.ledger IN SHARE ROW EXCLUSIVE MODE")
    assert scene.carry_out() == [("terminate", root.pid, 1, 2)]
    assert scene.let_through() == 2


def test_a_convoy_and_a_rows_queue_are_ended_in_two_steps(scene: Scene) -> None:
    scene.open("SELECT count(*) FROM app.accounts", name="report")
    ddl = scene.wait("ALTER TABLE app.accounts ADD COLUMN note text", name="migrate")
    for _ in range(5):
        scene.wait("SELECT count(*) FROM app.accounts")
    root = scene.open(update(1, "ledger"), name="billing-worker")
    for _ in range(3):
        scene.wait(update(1, "ledger"))
    assert scene.carry_out() == [("cancel", ddl.pid, 5, 0), ("terminate", root.pid, 1, 2)]


def test_a_sessions_advisory_lock_takes_a_termination(scene: Scene) -> None:
    root = scene.open("SELECT pg_advisory_lock(7)", "COMMIT")
    for _ in range(2):
        scene.wait("SELECT pg_advisory_lock_shared(7)")
    assert scene.carry_out() == [("terminate", root.pid, 2, 0)]


@pytest.mark.parametrize(("alone", "action"), [(True, "cancel"), (False, "terminate")])
def test_a_running_statement_is_cancelled_if_it_is_alone(scene: Scene, alone: bool, action: str) -> None:
    """In a transaction that began before it there may be a savepoint, which keeps what was locked."""
    root = scene.open()
    root.connection.autocommit = alone
    root.start("SELECT count(*), pg_sleep(60) FROM app.ledger")
    held = "SELECT 1 FROM pg_locks WHERE pid = %s AND relation = 'app.ledger'::regclass"
    poll(lambda: scene.look.execute(held, (root.pid,)).fetchone(), 10, "it runs")
    scene.wait("LOCK TABLE app.ledger IN ACCESS EXCLUSIVE MODE")
    (text,) = [one["text"] for one in scene.plan()]
    assert text.endswith("only if its client has no savepoint).") == (not alone)
    assert scene.carry_out() == [(action, root.pid, 1, 0)]


SHARED = ", if nobody else has locked the row, too"


@pytest.mark.parametrize("share", ["SELECT FROM app.accounts WHERE id = 1 FOR SHARE", "foreign key"])
def test_a_row_that_several_have_locked_is_said_to_be_perhaps(scene: Scene, share: str) -> None:
    """PostgreSQL shows one of them; after that one the next."""
    with psycopg.connect(scene.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE app.booked (id int, account int REFERENCES app.accounts)")
        connection.execute(f"GRANT ALL ON app.booked TO {ORDINARY}")
    if share == "foreign key":
        share = "INSERT INTO app.booked VALUES (1, 1)"
    holders = {scene.open(share).pid for _ in range(2)}
    waiter = scene.wait("DELETE FROM app.accounts WHERE id = 1")
    for _ in range(2):
        (step,) = scene.plan()
        assert step["text"].split(";")[0].endswith(f"frees 1{SHARED}"), step["text"]
        holders.remove(step["pid"])
        scene.door.stop(step["action"], step["pid"])
        poll(lambda: not holders or scene.plan()[0]["pid"] in holders, 10, "the next one")
    waiter.result()


def test_who_has_changed_the_table_is_taken_for_the_rows_only_holder(scene: Scene) -> None:
    root = scene.open(update(1))
    scene.wait(update(1))
    (step,) = scene.plan()
    assert SHARED not in step["text"]
    assert scene.carry_out() == [("terminate", root.pid, 1, 0)]


@pytest.mark.parametrize("keys", [(30, 30, 30), (31, 32, 33)])
def test_those_who_insert_may_want_one_key_or_several(scene: Scene, keys: tuple[int, ...]) -> None:
    """PostgreSQL shows of neither which: of those who want the same, one goes on."""
    root = scene.open(*(f"INSERT INTO app.ledger (id) VALUES ({key})" for key in set(keys)))
    before = [scene.wait(f"INSERT INTO app.ledger (id) VALUES ({key})") for key in keys]
    (step,) = scene.plan()
    assert (
        "frees at least 1, the next 2 follow as each commits (they insert, it may be the same key);"
        in (step["text"])
    )
    waiting = scene.blocked()
    scene.door.stop("terminate", root.pid)
    wanted = len(set(keys))
    poll(lambda: len(waiting - scene.blocked()) == wanted, 10, "those have gone on")
    for one in before:
        one.close()
    assert poll(lambda: scene.blocked() == set())


def test_roots_that_nobody_stops_are_named_and_what_helps_is_still_said(
    scene: Scene, server: Server, session: OpenSession
) -> None:
    boss = session(scene.dsn, application_name="dba's own")
    boss.run("SELECT count(*) FROM app.accounts")
    prepared = scene.open(update(1, "ledger"))
    prepared.run("PREPARE TRANSACTION 'gid-77'")
    scene.wait(update(1, "ledger"))
    ddl = scene.wait("ALTER TABLE app.accounts ADD COLUMN note text", name="migrate")
    for _ in range(2):
        scene.wait("SELECT count(*) FROM app.accounts")
    texts = [one["text"] for one in scene.door.all(PLAN)]
    assert texts == [
        f"Cancel migrate ({ddl.pid}): frees 2 at once; loses nothing.",
        f"dba's own ({boss.pid}) is left alone, with 3 behind it: pid {boss.pid} is a superuser's session.",
        "prepared transaction 'gid-77' is left alone, with 1 behind it: a prepared transaction has no"
        " session; ROLLBACK PREPARED or COMMIT PREPARED ends it.",
        "1 session goes on waiting: no stop, and no two together, would free anybody else.",
    ]
    assert scene.carry_out() == [("cancel", ddl.pid, 2, 0)]


@pytest.mark.parametrize("name", ["monitor.own_logins", "door.protected_users"])
def test_protected_logins_are_by_the_doors_settings(scene: Scene, name: str) -> None:
    scene.open(update(1))
    scene.wait(update(1))
    assert len(scene.plan()) == 1
    with psycopg.connect(scene.dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE lock_admin.setting SET value = value || to_jsonb(%s::text) WHERE name = %s",
            (ORDINARY, name),
        )
    assert scene.plan() == []


def test_while_the_settings_are_locked_there_is_no_plan_and_the_tree_goes_on(
    scene: Scene, connect: Connect, session: OpenSession
) -> None:
    scene.open(update(1))
    scene.wait(update(1))
    locker = session(scene.dsn)
    locker.run("LOCK TABLE lock_admin.setting IN ACCESS EXCLUSIVE MODE")
    (told,) = scene.door.all(PLAN)
    assert (told["step"], told["action"]) == (None, "note")
    assert told["text"].startswith("No plan: somebody has locked the settings")
    locker.run("ROLLBACK")
    assert len(scene.plan()) == 1


def test_who_may_not_read_the_monitor_may_not_ask(scene: Scene, connect: Connect) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect(scene.dsn, user=ORDINARY).execute(PLAN)
    assert connect(scene.dsn, user=doors.READER).execute(PLAN).fetchall() == []
