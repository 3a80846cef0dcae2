"""Installing over an older release: what it left is replaced, what a site built upon it is not."""

from __future__ import annotations

import threading

import psycopg
import pytest

from lockmon.install import InstallError, install
from tests.conftest import Connect
from tests.sql.test_install import assert_same
from tests.support import catalog, expected, sites
from tests.support.poll import poll
from tests.support.servers import Server

# What a release before this one might have looked like: other results, arguments and columns, objects that
# are no longer brought, a column and an index that were not there yet.
OLDER = """
DROP FUNCTION lock_engine.duration_steps();
CREATE FUNCTION lock_engine.duration_steps() RETURNS real[]
    LANGUAGE sql IMMUTABLE AS 'SELECT ARRAY[1, 2]::real[]';
DROP VIEW lock_engine.monitor_status CASCADE;
DROP FUNCTION lock_catalog.waits_for() CASCADE;
CREATE FUNCTION lock_catalog.waits_for(p_all boolean DEFAULT false) RETURNS TABLE (node bigint, pid integer)
    LANGUAGE sql AS 'SELECT 1::bigint, 1';
CREATE VIEW lock_catalog.graph AS SELECT * FROM lock_catalog.waits_for();
CREATE FUNCTION lock_engine.store_locks_of_old(p_graph lock_catalog.graph[]) RETURNS integer
    LANGUAGE sql AS 'SELECT 1';
CREATE VIEW lock_engine.old_overview AS
    SELECT node, lock_engine.duration_steps() AS steps FROM lock_catalog.graph;
DROP VIEW lock_monitoring.deadlock_patterns CASCADE;
CREATE VIEW lock_monitoring.deadlock_patterns AS SELECT 1 AS former_name, 2 AS pattern_hash;
ALTER VIEW lock_monitoring.deadlock_patterns OWNER TO lock_vault_owner;
CREATE VIEW lock_monitoring.retired AS SELECT 1 AS one;
ALTER VIEW lock_monitoring.retired OWNER TO lock_vault_owner;
ALTER TABLE lock_monitoring.lock_activity_s DROP COLUMN queue_position CASCADE;
DROP INDEX lock_monitoring.idx_lock_activity_s_waits;
"""


@pytest.fixture
def older(server: Server, connect: Connect) -> psycopg.Connection[tuple[object, ...]]:
    """A connection to a database with an older release and a row of history."""
    name = server.create_database()
    install(server.dsn(name))
    connection = connect(name)
    connection.execute(OLDER)
    connection.execute(
        "UPDATE lock_admin.setting SET value = '2' WHERE name = 'capture.min_transaction_age_seconds'"
    )
    return connection


def test_the_list_of_what_this_release_brings_is_up_to_date(server: Server, connect: Connect) -> None:
    name = server.create_database()
    install(server.dsn(name))
    listed = expected.FILE.read_text(encoding="utf-8")
    assert listed == expected.brought(connect(name)), "run: python -m tests.support.expected"


@pytest.mark.parametrize("tool", ["python", "psql"])
def test_an_older_release_becomes_this_one(
    server: Server, connect: Connect, older: psycopg.Connection[tuple[object, ...]], tool: str
) -> None:
    fresh = server.create_database()
    install(server.dsn(fresh))
    if tool == "python":
        assert install(older.info.dsn).files
    else:
        sites.install_with_psql(server, older.info.dbname)

    def without_order(lines: list[str]) -> list[str]:
        # the column that was missing comes last now, as in a table that a site had before
        moved = ("column lock_monitoring.lock_activity_s", "view lock_monitoring.lock_activity_dashboard:")
        return sorted(line for line in lines if not line.startswith(moved))

    assert_same(without_order(catalog.definitions(connect(fresh))), without_order(catalog.definitions(older)))
    assert older.execute(
        "SELECT count(*) FROM pg_attribute WHERE attname = 'queue_position'"
        " AND attrelid = 'lock_monitoring.lock_activity_s'::regclass"
    ).fetchone() == (1,)
    assert older.execute(
        "SELECT count(*) FROM lock_admin.setting_history"
        " WHERE name = 'capture.min_transaction_age_seconds' AND new_value = '2'"
    ).fetchone() == (1,)
    assert not install(older.info.dsn).changed


def test_what_a_site_built_upon_an_older_object_is_named(
    server: Server, older: psycopg.Connection[tuple[object, ...]]
) -> None:
    older.execute("CREATE SCHEMA app; CREATE VIEW app.board AS SELECT pid FROM lock_catalog.graph")
    before = catalog.definitions(older, (*catalog.OURS, "app"))
    with pytest.raises(
        InstallError, match=r"view lock_catalog.graph.* must be replaced, but view app.board depends on it"
    ):
        install(older.info.dsn)
    assert_same(before, catalog.definitions(older, (*catalog.OURS, "app")))
    older.execute("DROP VIEW app.board")
    assert install(older.info.dsn).files


def test_what_did_not_change_is_left_in_its_place(
    server: Server, older: psycopg.Connection[tuple[object, ...]]
) -> None:
    """A site's view on a dashboard does not stand in the way, and what it granted stays or comes back."""
    older.execute(
        "CREATE SCHEMA app;"
        "CREATE VIEW app.board AS SELECT blocking_severity FROM lock_monitoring.blocking_sessions_dashboard;"
        "CREATE VIEW lock_monitoring.of_the_site AS SELECT 1 AS one;"
        "CREATE ROLE upgrade_reader NOLOGIN;"
        "GRANT SELECT ON lock_monitoring.deadlock_patterns, lock_monitoring.blocking_sessions_dashboard"
        " TO upgrade_reader"
    )
    try:
        assert install(older.info.dsn).files
        for view in ("deadlock_patterns", "blocking_sessions_dashboard"):
            assert older.execute(
                "SELECT has_table_privilege('upgrade_reader', %s, 'SELECT')", [f"lock_monitoring.{view}"]
            ).fetchone() == (True,)
        assert older.execute(
            "SELECT to_regclass('lock_monitoring.of_the_site') IS NOT NULL,"
            " to_regclass('lock_monitoring.retired') IS NULL, to_regclass('app.board') IS NOT NULL"
        ).fetchone() == (True, True, True)
    finally:
        older.execute("DROP OWNED BY upgrade_reader; DROP ROLE upgrade_reader")


def test_cycles_go_on_over_an_upgrade(server: Server, connect: Connect) -> None:
    name = server.create_database()
    install(server.dsn(name))
    # an older release whose cycle works, with an internal function of another shape
    connect(name).execute(
        "CREATE FUNCTION lock_engine.severity_rank(p_severity text, p_more integer) RETURNS text"
        " LANGUAGE sql AS 'SELECT p_severity'; CREATE VIEW lock_engine.former AS SELECT 1 AS one"
    )
    watcher = connect(name)
    watcher.execute("SET lock_timeout = '10s'")
    ended = threading.Event()
    outcomes: list[str] = []
    errors: list[BaseException] = []

    def watch() -> None:
        try:
            while not ended.is_set():
                row = watcher.execute(
                    "SELECT monitoring_summary FROM lock_monitoring.run_lock_monitoring()", prepare=True
                ).fetchone()
                outcomes.append(str(row and row[0]))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        poll(lambda: len(outcomes) > 2, what="cycles before it")
        assert install(server.dsn(name)).files
        so_far = len(outcomes)
        poll(lambda: bool(errors) or len(outcomes) > so_far + 3, what="cycles after it")
    finally:
        ended.set()
        thread.join()
    assert errors == []
    assert connect(name).execute("SELECT to_regclass('lock_engine.former')").fetchone() == (None,)
