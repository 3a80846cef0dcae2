"""Installing: from an empty database, over a real site, over itself, at the same time."""

from __future__ import annotations

import difflib
import threading
from collections import Counter
from collections.abc import Sequence

import psycopg
import pytest

from lockmon.install import SQL_FOLDER, InstallError, drift, install, install_on, verify
from lockmon.install.manifest import MANIFESTS, read
from tests.conftest import Connect
from tests.support import catalog, sites
from tests.support.poll import poll
from tests.support.servers import Server


def assert_same(left: Sequence[str], right: Sequence[str]) -> None:
    """Fail with the lines that differ."""
    different = list(difflib.unified_diff(list(left), list(right), lineterm="", n=0))
    assert not different, "\n".join(line[:300] for line in different[:40])


def definitions(server: Server, database: str) -> list[str]:
    """The catalog's text of one database."""
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        return catalog.definitions(connection)


@pytest.fixture(scope="module")
def fresh(server: Server) -> list[str]:
    """What an install into an empty database leaves."""
    name = server.create_database()
    install(server.dsn(name))
    return definitions(server, name)


def test_each_object_file_is_listed_exactly_once() -> None:
    listed = Counter(source.path for manifest in MANIFESTS for source in read(manifest))
    in_each = {
        SQL_FOLDER / "prerequisites" / name
        for name in ("session.sql", "views_first.sql", "take_owners.sql", "leave_owners.sql")
    }
    assert [listed.pop(path) for path in in_each] == [len(MANIFESTS)] * len(in_each)
    assert [path for path, times in listed.items() if times > 1] == []
    files = {path for path in SQL_FOLDER.rglob("*.sql") if path.name not in MANIFESTS} - in_each
    assert {str(path) for path in files - set(listed)} == set(), "files that no manifest lists"
    assert {str(path) for path in set(listed) - files} == set(), "lines without a file"


def test_each_file_is_named_after_the_object_that_it_makes() -> None:
    for manifest in MANIFESTS:
        for source in read(manifest):
            schema = source.name.split("/")[0]
            if schema in ("prerequisites", "grants") or "/seed/" in source.name:
                continue
            made = [(kind, name) for kind, found, name in source.created() if found == schema]
            assert source.path.stem in [name for _kind, name in made] or not made, source.name


def test_object_files_hold_plain_sql() -> None:
    for path in SQL_FOLDER.rglob("*.sql"):
        if path.name in MANIFESTS:
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if line.startswith("\\")], path


def test_psql_and_python_install_the_same(server: Server, fresh: list[str]) -> None:
    name = server.create_database()
    sites.install_with_psql(server, name)
    assert_same(fresh, definitions(server, name))


def test_step_8_alone_says_what_comes_first(server: Server) -> None:
    name = server.create_database()
    done = sites.psql(server, name, "-f", sites.STEPS[1])
    assert done.returncode != 0
    assert "run step_7_lock_monitoring.sql first. Nothing was changed." in done.stderr


def test_a_second_install_changes_nothing(server: Server, connect: Connect) -> None:
    name = server.create_database()
    assert install(server.dsn(name)).changed
    connection = connect(name)
    before, rows = catalog.definitions(connection), catalog.contents(connection)
    looked = install(server.dsn(name))
    assert (looked.changed, looked.files) == (False, 0), "a look was enough"
    done = install(server.dsn(name), again=True)
    assert (done.changed, done.files > 50) == (False, True)
    sites.install_with_psql(server, name)
    assert_same(before, catalog.definitions(connection))
    assert rows == catalog.contents(connection)


def test_an_install_tells_how_far_it_is(server: Server) -> None:
    name = server.create_database()
    told: list[str] = []
    done = install(server.dsn(name), told.append)
    assert done.database == name
    assert told[0] == "One Vault lock monitor, step 7: roles and schemas"
    assert told[-1] == "One Vault lock monitor, step 8: owners and grants"


def test_everything_that_should_be_there_is_there(server: Server, connect: Connect) -> None:
    name = server.create_database()
    install(server.dsn(name))
    connection = connect(name)
    checks = verify(connection)
    assert [check for check in checks if not check.passed] == []
    kinds = Counter(check.kind for check in checks if check.name.startswith("lock_monitoring."))
    assert (kinds["table"], kinds["function"]) == (10, 7)


def test_what_somebody_changed_by_hand_is_named_and_mended(server: Server, connect: Connect) -> None:
    name = server.create_database()
    install(server.dsn(name))
    connection = connect(name)
    connection.execute(
        "CREATE OR REPLACE FUNCTION lock_engine.severity_rank(p_severity text) RETURNS integer "
        "LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS 'SELECT 7'"
    )
    connection.execute("DROP INDEX lock_monitoring.idx_lock_activity_s_relation")
    assert [one.name for one in drift(connection)] == ["lock_engine.severity_rank"]
    failed = {check.name: check for check in verify(connection) if not check.passed}
    assert failed["lock_engine.severity_rank"].state == "wrong"
    assert failed["lock_monitoring.idx_lock_activity_s_relation"].state == "missing"
    assert any("somebody changed a definition" in check.how for check in failed.values())
    assert install(server.dsn(name)).files > 50
    assert [check for check in verify(connection) if not check.passed] == []


def test_an_owner_that_somebody_could_work_as_is_named(server: Server, connect: Connect) -> None:
    name = server.create_database()
    install(server.dsn(name))
    connection = connect(name)
    connection.execute("CREATE ROLE intruder LOGIN")
    try:
        connection.execute("GRANT lock_door_owner TO intruder")
        connection.execute("ALTER ROLE lock_vault_owner LOGIN")
        failed = {check.name: check.how for check in verify(connection) if not check.passed}
    finally:
        connection.execute("ALTER ROLE lock_vault_owner NOLOGIN")
        connection.execute("DROP ROLE intruder")
    assert failed == {
        "lock_door_owner": "REVOKE lock_door_owner FROM intruder: nobody may work as it",
        "lock_vault_owner": "ALTER ROLE lock_vault_owner NOLOGIN: nobody may work as it",
    }


def test_over_a_site_with_old_functions_it_ends_like_a_fresh_install(
    server: Server, fresh: list[str], connect: Connect
) -> None:
    name = sites.real_site(server)
    sites.install_with_psql(server, name)
    found = definitions(server, name)
    # What is the site's: its own monitoring, and the helper that is none of the seven.
    of_site = ("monitoring.alert_definition_h", "monitoring.system_health", "site_helper")
    assert_same(fresh, [line for line in found if not any(word in line.split(":")[0] for word in of_site)])
    connection = connect(name)
    assert connection.execute("SELECT lock_monitoring.site_helper()").fetchone() == (42,)
    row = connection.execute("SELECT locks_captured FROM lock_monitoring.capture_lock_activity()").fetchone()
    assert row is not None
    assert row[0] >= 0


def test_over_a_site_nothing_of_the_sites_is_altered(server: Server, connect: Connect) -> None:
    name = sites.real_site(server)
    connection = connect(name)
    its_own = ("util", "auth", "audit", "app")

    def of_site() -> list[str]:
        lines = catalog.definitions(connection, its_own)
        # Rights are the one thing that is added: the vault's owner looks a session's tenant up.
        return [
            line.split(" lock_")[0].split(" postgres=")[0].rstrip() for line in lines if "member " not in line
        ]

    def without_rights(lines: list[str]) -> list[str]:
        return [line.split(" postgres=")[0].rstrip() for line in lines]

    before = without_rights(of_site())
    install(server.dsn(name))
    assert_same(before, without_rights(of_site()))


def test_at_most_one_tenant_is_added(server: Server, connect: Connect) -> None:
    name = sites.real_site(server)
    install(server.dsn(name))
    connection = connect(name)
    added = connection.execute(
        "SELECT tenant_bk, tenant_hk FROM auth.tenant_h WHERE record_source = 'LOCK_MONITOR'"
    ).fetchall()
    assert len(added) == 1
    assert added[0][0] == "SYSTEM"
    install(server.dsn(name))
    assert connection.execute("SELECT count(*) FROM auth.tenant_h").fetchone() == (3,)


@pytest.mark.parametrize("known_by", ["function", "key", "name"])
def test_a_sites_own_system_tenant_is_used(server: Server, connect: Connect, known_by: str) -> None:
    name = sites.real_site(server, old_functions=False)
    connection = connect(name)
    key = bytes(31) + b"\x01"
    if known_by == "function":
        key = bytes(31) + b"\x09"
        connection.execute(
            "CREATE FUNCTION util.get_system_operations_tenant_hk() RETURNS bytea LANGUAGE sql "
            f"AS $$ SELECT '\\x{key.hex()}'::bytea $$"
        )
    elif known_by == "name":
        key = bytes(31) + b"\x07"
    connection.execute(
        "INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source) VALUES (%s, %s, 'SITE')",
        [key, "ROOT" if known_by == "key" else "SYSTEM_OPERATIONS"],
    )
    install(server.dsn(name))
    row = connection.execute(
        "SELECT value #>> '{}' FROM lock_admin.setting WHERE name = 'system.tenant_hk'"
    ).fetchone()
    assert row == (f"\\x{key.hex()}",)
    assert connection.execute("SELECT count(*) FROM auth.tenant_h").fetchone() == (3,)


def test_what_a_site_built_upon_an_old_object_is_named_not_dropped(server: Server, connect: Connect) -> None:
    name = sites.real_site(server)
    connection = connect(name)
    connection.execute(
        "CREATE VIEW app.board AS SELECT * FROM lock_monitoring.blocking_sessions_dashboard; "
        "CREATE TABLE app.kept (pid integer)"
    )
    before = catalog.definitions(connection, (*catalog.OURS, "app", "auth", "util"))
    with pytest.raises(
        InstallError, match=r"blocking_sessions_dashboard must be replaced, but view app.board depends on it"
    ):
        install(server.dsn(name))
    after = catalog.definitions(connection, (*catalog.OURS, "app", "auth", "util"))
    assert_same(before, after)
    connection.execute("DROP VIEW app.board")
    assert install(server.dsn(name)).changed


def test_twenty_installers_at_once_are_safe(server: Server, fresh: list[str]) -> None:
    name = server.create_database()
    outcomes: list[str | BaseException] = []

    def one() -> None:
        try:
            done = install(server.dsn(name))
            outcomes.append("installed" if done.changed and done.files else f"looked, {done.files} files")
        except BaseException as error:
            outcomes.append(error)

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(str(outcome) for outcome in outcomes) == {"installed": 1, "looked, 0 files": 19}
    assert_same(fresh, definitions(server, name))


def test_installers_of_two_databases_at_once_are_safe(server: Server, fresh: list[str]) -> None:
    names = [server.create_database() for _ in range(4)]
    errors: list[BaseException] = []

    def one(name: str) -> None:
        try:
            install(server.dsn(name))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for name in names:
        assert_same(fresh, definitions(server, name))


def test_an_install_does_not_wait_long_behind_a_table_that_is_locked(
    server: Server, connect: Connect
) -> None:
    name = server.create_database()
    install(server.dsn(name))
    holder = connect(name, autocommit=False)
    holder.execute("LOCK TABLE lock_monitoring.lock_activity_s IN ACCESS EXCLUSIVE MODE")
    with connect(name) as connection:
        # The install's own limit is 10 s; a shorter one makes the test shorter.
        source = next(iter(read(MANIFESTS[0])))
        assert "SET LOCAL lock_timeout = '10s'" in source.text
        with pytest.raises(InstallError, match=r"Another session holds a lock .* Nothing was changed"):
            install_on(connection, again=True)
    holder.rollback()


def test_the_files_are_plain_ascii_and_install_in_any_encoding(server: Server, fresh: list[str]) -> None:
    assert [path.name for path in SQL_FOLDER.rglob("*.sql") if not path.read_bytes().isascii()] == []
    name = "in_latin1"
    server.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    install(server.dsn(name))
    assert_same(fresh, definitions(server, name))


def test_a_login_whose_transactions_are_serializable_can_install_and_wait(server: Server) -> None:
    name = server.create_database()
    dsn = f"{server.dsn(name)} options='-c default_transaction_isolation=serializable'"
    outcomes: list[bool] = []
    threads = [threading.Thread(target=lambda: outcomes.append(install(dsn).changed)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False, False, True]


def test_an_update_does_not_disturb_running_cycles(server: Server) -> None:
    name = server.create_database()
    install(server.dsn(name))
    ended = threading.Event()
    errors: list[BaseException] = []
    cycles: list[str] = []

    def watch() -> None:
        try:
            with psycopg.connect(server.dsn(name), autocommit=True) as connection:
                while not ended.is_set():
                    row = connection.execute(
                        "SELECT monitoring_summary FROM lock_monitoring.run_lock_monitoring()"
                    ).fetchone()
                    cycles.append(row[0] if row else "")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=watch) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        changed = [install(server.dsn(name)).changed for _ in range(5)]
        poll(lambda: len(cycles) > 5, what="cycles going on beside it")
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert changed == [False] * 5


def test_an_update_in_earnest_holds_up_cycles_only_while_it_runs(server: Server, connect: Connect) -> None:
    name = server.create_database()
    install(server.dsn(name))
    watcher = connect(name)
    watcher.execute("SET lock_timeout = '100ms'")
    ended = threading.Event()
    outcomes: list[str] = []

    def watch() -> None:
        while not ended.is_set():
            try:
                watcher.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
                outcomes.append("ran")
            except psycopg.errors.LockNotAvailable:
                outcomes.append("gave up")

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        assert not install(server.dsn(name), again=True).changed
        so_far = len(outcomes)
        poll(lambda: outcomes[so_far:].count("ran") > 3, what="cycles after the update")
    finally:
        ended.set()
        thread.join()
    assert set(outcomes) <= {"ran", "gave up"}


def test_rights_that_were_taken_away_come_back(server: Server, connect: Connect) -> None:
    name = server.create_database()
    install(server.dsn(name))
    connection = connect(name)
    connection.execute("REVOKE SELECT ON lock_monitoring.lock_activity_s FROM lock_monitoring_role")
    assert [check for check in verify(connection) if not check.passed]
    assert install(server.dsn(name)).files
    readable = (
        "SELECT has_table_privilege('lock_monitoring_role', 'lock_monitoring.lock_activity_s', 'SELECT')"
    )
    assert connection.execute(readable).fetchone() == (True,)
    # What the site gives to its own roles is the site's affair.
    connection.execute("GRANT SELECT ON lock_monitoring.lock_activity_s TO pg_read_all_settings")
    assert [check for check in verify(connection) if not check.passed] == []


CALLERS = """
    SELECT p.oid::regprocedure::text, array_agg(a.grantee::regrole::text ORDER BY a.grantee::regrole::text)
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    CROSS JOIN LATERAL aclexplode(p.proacl) AS a
    WHERE n.nspname ~ '^(lock_(monitoring|catalog|engine|admin|log)|monitoring)$' AND a.grantee <> p.proowner
    GROUP BY 1 ORDER BY 1
"""


def test_nobody_keeps_a_right_to_call_that_this_release_does_not_give(
    server: Server, connect: Connect
) -> None:
    """What reads is granted to all who read; an update that has it write takes that back."""
    name = server.create_database()
    install(server.dsn(name))
    dba = connect(name)
    before = dba.execute(CALLERS).fetchall()
    assert len(before) > 150
    for signature in (
        "lock_engine.try_apart(text,jsonb)",
        "lock_engine.read_site(text,text[],integer)",
        "lock_admin.signal_session(bigint,numeric)",
        "lock_monitoring.cleanup_old_data(integer)",
        "monitoring.version_alert_configuration()",
    ):
        dba.execute(
            f"GRANT EXECUTE ON FUNCTION {signature} TO lock_monitoring_role, lock_vault_owner,"
            " lock_door_owner, lock_log_reader, lock_alert_sandbox, pg_read_all_settings"
        )
    dba.execute("GRANT EXECUTE ON PROCEDURE lock_engine.clean_up(integer, text) TO lock_monitoring_role")
    dba.execute(
        "GRANT EXECUTE ON FUNCTION lock_engine.severity_rank(text) TO lock_site_reader, lock_admin_role"
    )
    assert dba.execute(CALLERS).fetchall() != before
    install(server.dsn(name), again=True)
    # what a DBA has given to roles of the site's own is the site's affair
    for schema in ("lock_engine", "lock_admin", "lock_monitoring", "monitoring"):
        dba.execute(f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM pg_read_all_settings")
    assert dba.execute(CALLERS).fetchall() == before


def test_a_function_that_reads_no_more_is_not_left_to_all_who_read(server: Server, connect: Connect) -> None:
    """The change itself: the files of two releases, of which the second one's function writes."""
    name = server.create_database()
    install(server.dsn(name))
    dba = connect(name)
    signature = "lock_engine.try_apart(text,jsonb)"
    may = f"SELECT has_function_privilege('lock_alert_sandbox', '{signature}', 'EXECUTE')"
    assert dba.execute(may).fetchone() == (False,)
    grants = (SQL_FOLDER / "grants" / "functions.sql").read_text(encoding="utf-8")
    expected = (SQL_FOLDER / "prerequisites" / "expected.sql").read_text(encoding="utf-8")
    for volatility, wanted in (("STABLE", True), ("VOLATILE", False)):
        dba.execute(f"ALTER FUNCTION {signature} {volatility}")
        with dba.transaction():
            dba.execute("SET LOCAL search_path = pg_catalog, pg_temp")
            dba.execute(expected.encode())
            dba.execute(grants.encode())
        assert dba.execute(may).fetchone() == (wanted,)
