"""What a blocker is told to be, and that stopping it does what its kind says: tried with real sessions and
pg_blocking_pids()."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lockmon.door_forms import KINDS as POLICY_KINDS
from lockmon.views.words import KINDS as WORDS
from tests.support import vaults
from tests.support.poll import poll
from tests.support.servers import Server, throwaway
from tests.support.sessions import Session

SLOW = (
    "CREATE FUNCTION app.slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE"
    " AS $$BEGIN PERFORM pg_sleep(60); RETURN $1; END$$"
)
Look = psycopg.Connection[Any]

STATEMENTS = [
    ("ALTER TABLE t ADD c int", "definition"),
    ("/* action='migrate' */ ALTER TABLE t ADD c int", "definition"),
    ("/* a /* nested; don't */ still */-- and ; a line\r\n  alter table t add c int;", "definition"),
    ("((SELECT 1))", "data"),
    ("(TABLE t)", "data"),
    ("WITH a AS (SELECT ')' FROM \"b)\"), update AS (SELECT $x$ ) ; $x$) UPDATE t SET n = 1", "data"),
    ("WITH RECURSIVE values (a, b) AS (VALUES (1, 2)) SEARCH DEPTH FIRST BY a SET o DELETE FROM t", "data"),
    ("WITH a AS (SELECT 1)", None),
    ("create unique index concurrently i on t (n)", "concurrent_ddl"),
    ("CREATE INDEX concurrently_named ON t (n)", "definition"),
    ("REINDEX (VERBOSE, CONCURRENTLY) TABLE t", "concurrent_ddl"),
    ("REINDEX TABLE CONCURRENTLY t", "concurrent_ddl"),
    ("DROP INDEX /* x */ CONCURRENTLY IF EXISTS i", "concurrent_ddl"),
    ("ALTER TABLE p DETACH PARTITION c CONCURRENTLY", "concurrent_ddl"),
    ("REFRESH MATERIALIZED VIEW CONCURRENTLY m", "definition"),
    ("VACUUM (VERBOSE) t", "maintenance"),
    ("vacuum full t", "definition"),
    ("VACUUM (FULL, ANALYZE) t", "definition"),
    ("ANALYZE t", "maintenance"),
    ("COMMIT", "end"),
    ("prepare transaction 'x'", "end"),
    ("PREPARE s AS SELECT 1", None),
    ("CALL p()", "code"),
    ("DO $$ BEGIN ALTER TABLE t ADD c int; END $$", "code"),
    ("DO $$$$", "code"),
    ("DO $$ cut off; ALTER TABLE t ADD c int", "code"),
    ("ALTER TABLE t ALTER c SET DEFAULT $x$ cut off; $y$ COMMIT", "definition"),
    ("BEGIN; ALTER TABLE t ADD c int; COMMIT", None),
    ("SELECT ';' AS a, E'\\';' AS b, $$;$$ AS c;", "data"),
    ("SELECT 1; ;", "data"),
    ("/* cut off ALTER TABLE", None),
    ("", None),
    ("  ", None),
    ("\u00e4lter", None),
    ("'ALTER TABLE'", None),
    (None, None),
]


@pytest.mark.parametrize(("statement", "wanted"), STATEMENTS)
def test_a_statement_is_known_by_its_own_first_words(
    vault: psycopg.Connection[Any], statement: str | None, wanted: str | None
) -> None:
    found = vault.execute("SELECT lock_catalog.statement_class(%s::text)", [statement]).fetchone()
    assert found == (wanted,)


def test_a_statement_of_any_size_and_shape_is_read(vault: psycopg.Connection[Any]) -> None:
    """It ends, whatever it is."""
    for text in (
        "(" * 30_000,
        "/*" * 30_000,
        "'" * 30_001,
        "$" * 30_000,
        "with " * 9_000,
        ";" * 30_000,
        "a;" * 15_000,
    ):
        found = vault.execute("SELECT lock_catalog.statement_class(%s::text)", [text]).fetchone()
        assert found == (None,), text[:10]


def test_every_kind_has_its_words_and_its_place_in_the_documents(vault: psycopg.Connection[Any]) -> None:
    rows = vault.execute("SELECT kind, automatic FROM lock_engine.blocker_kinds()").fetchall()
    kinds = {kind for kind, _ in rows}
    assert len(kinds) == len(rows)
    assert set(WORDS) == kinds
    assert {kind for kind, _ in POLICY_KINDS} == {kind for kind, automatic in rows if automatic} - {
        "queued_ddl"
    }
    documented = re.findall(
        r"^\| `(\w+)` \|", Path("docs/kinds.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(documented) == sorted(kinds)
    sources = "".join(
        Path(f"sql/lock_catalog/{name}.sql").read_text(encoding="utf-8")
        for name in ("session_kind", "statement_class", "graph_of_groups")
    )
    assert {kind for kind in kinds if f"'{kind}'" not in sources} == set()
    for kind in kinds:
        (told,) = vault.execute(
            "SELECT lock_engine.recommended_action(%s, 7, 'g', true, 'x', 'y')", [kind]
        ).fetchone() or ("",)
        assert ("is working" in told) == (kind == "active"), kind


def kind_of(vault: psycopg.Connection[Any], **facts: Any) -> str:
    """What the rule says of a session."""
    given = {
        "backend_type": "client backend",
        "state": "active",
        "type": None,
        "event": None,
        "query": "SELECT 1",
        "running": "1 s",
        "strongest": 2,
        "advisory": False,
    } | facts
    row = vault.execute(
        "SELECT lock_catalog.session_kind(%(backend_type)s, %(state)s, %(type)s, %(event)s, %(query)s,"
        " %(running)s::interval, %(strongest)s, %(advisory)s)",
        given,
    ).fetchone()
    assert row
    return str(row[0])


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({}, "active"),
        ({"running": "61 s"}, "long_query"),
        ({"running": "61 s", "strongest": 16}, "holds_table_lock"),
        ({"strongest": 256, "query": None}, "holds_table_lock"),
        ({"strongest": 8}, "active"),
        ({"strongest": None, "running": None}, "active"),
        ({"state": None}, "unknown"),
        ({"state": "disabled"}, "unknown"),
        (
            {"backend_type": "autovacuum worker", "query": "autovacuum: VACUUM a.b (to prevent wraparound)"},
            "autovacuum_wraparound",
        ),
        ({"backend_type": "autovacuum worker", "query": "autovacuum: ANALYZE a.b"}, "autovacuum"),
        ({"query": "autovacuum: VACUUM a.b (to prevent wraparound)"}, "active"),
        ({"backend_type": "walsender"}, "replication"),
        ({"backend_type": "logical replication worker"}, "apply"),
        ({"backend_type": "logical replication parallel worker"}, "apply"),
        ({"backend_type": "startup", "state": None}, "recovery"),
        ({"backend_type": "pg_cron", "state": "active"}, "background"),
        ({"backend_type": None}, "unknown"),
        ({"type": "IPC", "event": "SyncRep", "query": "UPDATE t SET n = 1"}, "waits_for_standby"),
        ({"running": "1 minute"}, "active"),
        ({"running": "1 minute 0.000001 s"}, "long_query"),
        ({"strongest": 8}, "active"),
        ({"strongest": 16}, "holds_table_lock"),
    ],
)
def test_the_rule_of_kinds(vault: psycopg.Connection[Any], facts: dict[str, Any], wanted: str) -> None:
    assert kind_of(vault, **({"state": None} if facts == {"backend_type": None} else {}) | facts) == wanted


# Scenes: somebody blocks, and is stopped ------------------------------------------------------------------


@dataclass
class Scene:
    """A blocker, mostly in a transaction that wrote n = 1 into app.t; what others wait with; whether
    cancelling it lets go of its locks."""

    kind: str
    setup: Callable[[str, contextlib.ExitStack], int]
    waiter: str = "LOCK TABLE app.t IN ACCESS EXCLUSIVE MODE"
    cancel_frees: bool = True


def opened(dsn: str, stack: contextlib.ExitStack, **more: Any) -> Session:
    session = Session(dsn, **more)
    stack.callback(session.abandon)
    return session


def running(*statements: str) -> Callable[[str, contextlib.ExitStack], int]:
    """A session that has run all but the last of these and runs that one."""

    def setup(dsn: str, stack: contextlib.ExitStack) -> int:
        session = opened(dsn, stack, autocommit=True)
        for statement in statements[:-1]:
            with contextlib.suppress(psycopg.Error):
                session.run(statement)
        session.start(statements[-1])
        return session.pid

    return setup


def writing(text: str) -> Callable[[str, contextlib.ExitStack], int]:
    """A client that asks and does not take what it asked for."""

    def setup(dsn: str, stack: contextlib.ExitStack) -> int:
        connection = psycopg.connect(dsn, autocommit=True)
        stack.callback(connection.close)
        connection.pgconn.send_query(text.encode())
        return connection.info.backend_pid

    return setup


def copying(dsn: str, stack: contextlib.ExitStack) -> int:
    """A client that begins to send and then does not."""
    connection = psycopg.connect(dsn, autocommit=True)
    stack.callback(connection.close)
    connection.pgconn.exec_(b"BEGIN; UPDATE app.t SET n = 1")
    connection.pgconn.exec_(b"COPY app.t FROM STDIN")
    return connection.info.backend_pid


MUCH = "SELECT repeat('x', 1000000) FROM generate_series(1, 1000)"
WROTE = "UPDATE app.t SET n = 1"
SCENES = [
    Scene("idle_in_transaction", running("BEGIN", WROTE), cancel_frees=False),
    Scene(
        "idle_in_transaction_aborted",
        running("BEGIN", WROTE, "SAVEPOINT a", "SELECT 1/0", "SELECT 1"),
        cancel_frees=False,
    ),
    Scene(
        "idle_session_lock",
        running("SELECT pg_advisory_lock(1)"),
        "SELECT pg_advisory_lock(1)",
        cancel_frees=False,
    ),
    Scene(
        "advisory_lock",
        running("BEGIN", "SELECT pg_advisory_lock(1)", WROTE),
        "SELECT pg_advisory_lock(1)",
        cancel_frees=False,
    ),
    Scene(
        "advisory_lock",
        running("BEGIN", "SELECT pg_advisory_lock(1)", WROTE, "SELECT pg_sleep(60)"),
        "SELECT pg_advisory_lock(1)",
        cancel_frees=False,
    ),
    Scene(
        "advisory_lock",
        running("BEGIN", "SELECT pg_advisory_xact_lock(1)", "SELECT pg_sleep(60)"),
        "SELECT pg_advisory_lock(1)",
    ),
    Scene("active", running("BEGIN", WROTE, "SELECT pg_sleep(60)")),
    Scene("active", running("BEGIN", WROTE, "SAVEPOINT a", "SELECT pg_sleep(60)"), cancel_frees=False),
    Scene("running_ddl", running("/* action='migrate' */ CREATE INDEX i ON app.t (app.slow(n))"), WROTE),
    Scene(
        "running_ddl",
        running(
            SLOW.replace("slow", "later").replace("pg_sleep(60)", "0"),
            "CREATE INDEX j ON app.t (app.later(n))",
            SLOW.replace("CREATE", "CREATE OR REPLACE").replace("slow", "later"),
            "-- first\nVACUUM FULL app.t",
        ),
        "SELECT 1 FROM app.t",
    ),
    Scene("concurrent_ddl", running("CREATE INDEX CONCURRENTLY i ON app.t (app.slow(n))")),
    Scene(
        "maintenance",
        running("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1", "VACUUM app.big"),
        "LOCK TABLE app.big",
    ),
    Scene(
        "holds_table_lock",
        running("DO $$BEGIN UPDATE app.t SET n = 1; LOCK TABLE app.t; PERFORM pg_sleep(60); END$$"),
    ),
    Scene("client_not_reading", writing(f"BEGIN; {WROTE}; {MUCH}"), cancel_frees=False),
    Scene("client_not_sending", copying, cancel_frees=False),
    Scene("waits_for_standby", running("SET synchronous_commit = on", WROTE)),
    Scene("unknown", running("SET track_activities = off", "BEGIN", WROTE), cancel_frees=False),
]


@pytest.fixture(scope="module")
def place() -> Iterator[Server]:
    """A server whose commits wait for a standby that is not there, where a session wants that."""
    settings = {
        "synchronous_standby_names": "nobody",
        "synchronous_commit": "local",
        "max_prepared_transactions": "5",
    }
    with throwaway(settings) as server:
        name = server.create_database()
        vaults.install(server.dsn(name))
        server.execute("CREATE ROLE kinds_app LOGIN; CREATE ROLE kinds_silent LOGIN")
        server.execute("ALTER ROLE kinds_silent SET track_activities = off")
        with psycopg.connect(server.dsn(name), autocommit=True) as connection:
            connection.execute("CREATE SCHEMA app; CREATE TABLE app.t (n int); INSERT INTO app.t VALUES (0)")
            connection.execute(
                "CREATE TABLE app.big AS SELECT g, repeat('x', 500) AS x FROM generate_series(1, 20000) g"
            )
            connection.execute(SLOW)
            connection.execute("GRANT ALL ON SCHEMA app TO kinds_app, kinds_silent")
            connection.execute("GRANT ALL ON app.t TO kinds_silent; ALTER TABLE app.t OWNER TO kinds_app")
        server.execute(f"ALTER DATABASE {name} RENAME TO kinds_template")
        yield server


@pytest.fixture
def scene_dsn(place: Server) -> str:
    """A vault beside a table with a row."""
    return place.dsn(place.create_database(template="kinds_template"))


def until_it_holds(look: Look, pid: int) -> None:
    """Wait until it holds what others will wait for."""
    locks = (
        f"SELECT count(*) FROM pg_locks WHERE pid = {pid} AND granted AND (locktype = 'advisory'"
        " OR relation::regclass::text LIKE 'app.%' AND mode <> 'AccessShareLock')"
    )
    poll(lambda: (look.execute(locks).fetchone() or [0])[0], what="its locks")


def row_of(look: Look, pid: int, kind: str) -> dict[str, Any]:
    """The node of the blocker, once it is one and of this kind."""

    def found() -> dict[str, Any] | None:
        row = look.execute(
            "SELECT to_jsonb(g) FROM lock_catalog.waits_for() g WHERE g.pid = %s AND g.blocked_total > 0",
            [pid],
        ).fetchone()
        return row[0] if row and row[0]["kind"] == kind else None

    row = poll(found, 15, f"a blocker of kind {kind}")
    assert row is not None
    return row


@pytest.mark.parametrize("action", ["cancel", "terminate"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.kind)
def test_stopping_it_does_what_its_kind_says(scene_dsn: str, scene: Scene, action: str) -> None:
    with contextlib.ExitStack() as stack:
        look = stack.enter_context(psycopg.connect(scene_dsn, autocommit=True))
        waiter = opened(scene_dsn, stack)
        blocker = scene.setup(scene_dsn, stack)
        until_it_holds(look, blocker)
        waiter.start(scene.waiter)
        waiter.wait_blocked(20)
        row = row_of(look, blocker, scene.kind)
        assert row["is_root"]
        told = look.execute("SELECT lock_admin.session_facts(%s) ->> 'kind'", [blocker]).fetchone()
        assert told == (scene.kind,)
        said = look.execute(
            "SELECT cancel, terminate, loses FROM lock_engine.blocker_kinds() WHERE kind = %s", [scene.kind]
        ).fetchone()
        assert said
        cancel, terminate, loses = said
        signal = "pg_cancel_backend" if action == "cancel" else "pg_terminate_backend"
        frees = scene.cancel_frees or action == "terminate"
        assert (cancel if action == "cancel" else terminate) in ("maybe", "yes" if frees else "no")
        look.execute(f"SELECT {signal}(%s)", [blocker])
        if not frees:
            # nothing is there to wait for: what would come of the signal comes at once
            look.execute("SELECT pg_sleep(0.5)")
            still = f"SELECT {blocker} = ANY (pg_blocking_pids({waiter.pid}))"
            assert look.execute(still).fetchone() == (True,)
            return
        waiter.result()
        waiter.run("ROLLBACK")
        (value,) = look.execute("SELECT n FROM app.t").fetchone() or (None,)
        if scene.kind == "waits_for_standby":
            assert value == 1, "it had committed"
        elif loses == "transaction":
            assert value == 0
        if scene.kind == "concurrent_ddl":
            assert look.execute(
                "SELECT indisvalid FROM pg_index WHERE indexrelid = 'app.i'::regclass"
            ).fetchone() == (False,)
            look.execute("DROP INDEX CONCURRENTLY app.i")


def test_how_far_a_long_statement_is_is_told(scene_dsn: str) -> None:
    vacuum = running("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1", "VACUUM app.big")
    with contextlib.ExitStack() as stack:
        look = stack.enter_context(psycopg.connect(scene_dsn, autocommit=True))
        pid = vacuum(scene_dsn, stack)

        def told() -> dict[str, Any] | None:
            row = look.execute("SELECT lock_admin.session_facts(%s) -> 'progress'", [pid]).fetchone()
            found: dict[str, Any] | None = row[0] if row else None
            return found if found and (found.get("percent") or 0) > 0 else None

        found = poll(told, 30, "progress")
        assert found and found["command"] == "VACUUM" and found["phase"] == "scanning heap"
        assert 0 < found["percent"] < 100 and found["seconds_left"] > 0
        nothing = "SELECT * FROM lock_catalog.progress_of(%s)"
        assert look.execute(nothing, [look.info.backend_pid]).fetchone() == (None, None, None, None)


def test_what_is_no_relation_is_named_by_its_meaning(scene_dsn: str) -> None:
    """Schemas were "object 16385 of class 2615", the queue of NOTIFY "object 0 of class 1262"."""
    with contextlib.ExitStack() as stack:
        look = stack.enter_context(psycopg.connect(scene_dsn, autocommit=True))
        told = "SELECT object_name FROM lock_catalog.waits_for() WHERE pid = %s AND is_waiting"
        one, two = opened(scene_dsn, stack), opened(scene_dsn, stack)
        one.run('CREATE SCHEMA "Ä b"')
        one.run("COMMIT")
        one.run('DROP SCHEMA "Ä b"')
        two.start('CREATE TABLE "Ä b".t (n int)')
        two.wait_blocked()
        poll(lambda: look.execute(told, [two.pid]).fetchone() == ('schema "Ä b"',), what="the schema")
        one.run("ROLLBACK")
        two.result()
        two.run("ROLLBACK")
        one.run("SET synchronous_commit = on")
        one.run(WROTE)
        one.run("NOTIFY a")
        one.start("COMMIT")
        waits = "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = %s"
        poll(lambda: look.execute(waits, [one.pid]).fetchone() == (True,), what="the standby")
        two.run("NOTIFY a")
        two.start("COMMIT")
        two.wait_blocked()
        name = ("queue of NOTIFY, which a commit that notifies locks",)
        poll(lambda: look.execute(told, [two.pid]).fetchone() == name, what="the queue")
        row = look.execute(
            "SELECT lock_catalog.described_object(0, 'pg_authid'::regclass, 'kinds_app'::regrole, 0),"
            " lock_catalog.described_object(0, 'pg_authid'::regclass, 1, 0),"
            " lock_catalog.described_object(1, 'pg_namespace'::regclass, 7, 0),"
            " lock_catalog.described_object(0, 1, 1, 1)"
        ).fetchone()
        assert row == (
            "role kinds_app",
            "object 1 of class pg_authid",
            "object 7 of class pg_namespace",
            "object 1 of class 1",
        )
        look.execute("SELECT pg_cancel_backend(%s)", [one.pid])
        two.result()


def test_a_failed_statement_without_a_savepoint_holds_nothing(scene_dsn: str) -> None:
    """So whoever is in the way in a failed transaction has a savepoint, and what it did before is kept."""
    with contextlib.ExitStack() as stack:
        one = opened(scene_dsn, stack)
        waiter = opened(scene_dsn, stack)
        one.run(WROTE)
        waiter.start("LOCK TABLE app.t")
        waiter.wait_blocked()
        with pytest.raises(psycopg.Error):
            one.run("SELECT 1/0")
        waiter.result()


def test_rolling_back_to_the_savepoint_keeps_the_work_before_it(scene_dsn: str) -> None:
    with contextlib.ExitStack() as stack:
        one = opened(scene_dsn, stack)
        look = stack.enter_context(psycopg.connect(scene_dsn, autocommit=True))
        one.run(WROTE)
        one.run("SAVEPOINT a")
        with pytest.raises(psycopg.Error):
            one.run("SELECT 1/0")
        one.run("ROLLBACK TO a")
        one.run("COMMIT")
        assert look.execute("SELECT n FROM app.t").fetchone() == (1,)


@pytest.mark.parametrize(
    ("scene", "decided"),
    [
        (one, decided)
        for kind, decided in {
            "waits_for_standby": ("spared", "a kind that only a person stops"),
            "concurrent_ddl": ("spared", "a kind that only a person stops"),
            "unknown": ("spared", "a kind that only a person stops"),
            "client_not_reading": ("would terminate", None),
            "holds_table_lock": ("would cancel", None),
        }.items()
        for one in SCENES
        if one.kind == kind
    ],
    ids=lambda value: value.kind if isinstance(value, Scene) else "",
)
def test_a_policy_leaves_alone_what_is_not_on_the_list(
    scene_dsn: str, scene: Scene, decided: tuple[str, str | None]
) -> None:
    with contextlib.ExitStack() as stack:
        look = stack.enter_context(psycopg.connect(scene_dsn, autocommit=True))
        look.execute(
            "UPDATE lock_admin.setting SET value = '\"LOW\"' WHERE name = 'auto_resolve.min_severity'"
        )
        rules = '{"action": "cancel_then_terminate", "min_blocked_seconds": 1, "min_severity": "LOW"}'
        look.execute("SELECT lock_admin.save_policy('kinds', %s, 'ann')", [rules])
        assert look.execute(
            "SELECT accepted FROM lock_admin.set_policy_mode('kinds', 'dry_run', 'a test', 'ann', 1)"
        ).fetchone() == (True,)
        waiter = opened(scene_dsn, stack)
        user = "kinds_silent" if scene.kind == "unknown" else "kinds_app"
        blocker = scene.setup(f"{scene_dsn} user={user}", stack)
        until_it_holds(look, blocker)
        waiter.start(scene.waiter)
        waiter.wait_blocked(20)
        row_of(look, blocker, scene.kind)

        def found() -> tuple[str, str | None] | None:
            rows = look.execute(
                "SELECT session_pid, decision, message FROM lock_admin.run_policies()"
            ).fetchall()
            return next(((how, why) for pid, how, why in rows if pid == blocker), None)

        assert poll(found, 15, "a decision") == decided
        (planned,) = look.execute(
            "SELECT action FROM lock_admin.resolve_plan(NULL, 0) WHERE pid = %s", [blocker]
        ).fetchone() or ("none",)
        assert planned == (None if decided[0] == "spared" else decided[0].removeprefix("would "))
