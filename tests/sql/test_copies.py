"""A copy of a vault watches; nothing in it acts by itself until somebody says that it is the place now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lockmon.install import install
from onevault.embedded import account as accounts
from onevault.embedded.cluster import Cluster
from tests.conftest import Connect, OpenSession
from tests.support import doors, dumps, vaults
from tests.support.doors import Door
from tests.support.poll import poll
from tests.support.servers import Server, free_port, throwaway
from tests.support.stored import Stored

BECAUSE = "SELECT lock_engine.disarmed_because()"
RULES = {"action": "terminate", "min_severity": "LOW", "min_blocked_seconds": 1, "user_patterns": ["app_*"]}


def because(connection: psycopg.Connection[Any]) -> str | None:
    row = connection.execute(BECAUSE).fetchone()
    assert row is not None
    return None if row[0] is None else str(row[0])


def name_of(dsn: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])


@pytest.fixture
def original(server: Server, vault_db: str) -> str:
    """A vault with an armed policy; nobody is connected to it."""
    doors.prepare(server, vault_db)
    with psycopg.connect(vault_db, autocommit=True) as dba:
        dba.execute("SELECT lock_admin.save_policy('idle', %s)", [json.dumps(RULES)])
        dba.execute("SELECT lock_admin.backtest_policy('idle')")
        dba.execute("UPDATE lock_admin.setting SET value = '\"never\"' WHERE name = 'policy.second_person'")
        row = dba.execute("SELECT accepted, message FROM lock_admin.set_policy_mode('idle', 'armed', 'x')")
        assert (row.fetchone() or (False,))[0]
        dba.execute(
            "INSERT INTO monitoring.alert_message (kind, recipient, dedupe_key, context)"
            " VALUES ('raised', 'dba@example.com', 'k', '{}')"
        )
    return vault_db


Copy = Callable[[Server, str, Path], str]


def by_template(server: Server, original: str, folder: Path) -> str:
    return server.create_database(template=name_of(original), at_home=False)


def by_psql(server: Server, original: str, folder: Path) -> str:
    file, name = folder / "vault.sql", server.create_database()
    dumps.dump(server, name_of(original), file)
    assert dumps.restore(server, name, file, "psql") == ""
    return name


def by_pg_restore(server: Server, original: str, folder: Path) -> str:
    file, name = folder / "vault.dump", server.create_database()
    dumps.dump(server, name_of(original), file, "-Fc")
    assert dumps.restore(server, name, file, "pg_restore") == ""
    return name


@pytest.mark.parametrize("make", [by_template, by_psql, by_pg_restore])
def test_in_a_copy_no_policy_acts_and_no_alert_is_sent_until_it_is_adopted(
    server: Server, original: str, make: Copy, tmp_path: Path, connect: Connect, session: OpenSession
) -> None:
    with psycopg.connect(original, autocommit=True) as at_home:
        assert because(at_home) is None
    dsn = server.dsn(make(server, original, tmp_path))
    door = Door(connect(dsn, user=doors.KEEPER))
    dba = connect(dsn)
    said = because(dba)
    assert said is not None and "This vault is a copy" in said and "lockmon_adopt" in said
    # installing the same release, or again, arms nothing
    install(dsn, again=True)
    assert because(dba) == said

    holder = doors.hold(session, dsn)
    waiter = doors.wait(session, dsn)
    since = "SELECT max(extract(epoch FROM clock_timestamp() - blocking_since)) FROM lock_catalog.waits_for()"
    poll(lambda: (dba.execute(since).fetchone() or (0,))[0] > 1.1, what="a second of waiting")
    Stored(dba).cycle()
    assert Stored(dba).episodes(holder.pid), "a copy watches"
    for _ in range(3):
        assert door.all("SELECT * FROM lock_admin.run_policies()") == []
    assert door.all("SELECT * FROM monitoring.claim_alert_message()") == []
    resolved = door.all("SELECT * FROM lock_monitoring.auto_resolve_blocking(NULL, 1, false)")
    assert {one["resolution_result"] for one in resolved} <= {"refused", "spared"}
    assert doors.alive(dsn)(holder.pid)
    signals = "SELECT count(*) FROM lock_admin.action_log WHERE step = 'signal'"
    assert dba.execute(signals).fetchone() == (0,)

    # a person may
    assert door.stop("terminate", holder.pid)["outcome"] == "terminated"
    waiter.result()
    waiter.run("ROLLBACK")

    with pytest.raises(psycopg.errors.InvalidParameterValue, match="reason is needed"):
        door.one("SELECT * FROM lock_admin.adopt(' ')")
    adopted = door.one("SELECT * FROM lock_admin.adopt('it replaces the old one', 'ann')")
    assert adopted["adopted"] and "given up: 1" in adopted["message"]
    assert because(dba) is None
    kept = door.one("SELECT recorded_by, reason FROM lock_engine.home ORDER BY home_id DESC LIMIT 1")
    assert kept == {"recorded_by": f"{doors.KEEPER} for ann", "reason": "it replaces the old one"}
    assert not door.one("SELECT * FROM lock_admin.adopt('again')")["adopted"]
    holder = doors.hold(session, dsn)
    doors.wait(session, dsn)

    def gone() -> bool:
        door.all("SELECT * FROM lock_admin.run_policies()")
        return not doors.alive(dsn)(holder.pid)

    poll(gone, 20, "the policy's stop", 0.2)


def test_only_the_admin_role_says_where_the_vault_acts(vault_db: str, connect: Connect) -> None:
    reader = connect(vault_db)
    for statement in (
        "SELECT lock_admin.adopt('mine')",
        "SELECT lock_admin.disarm('mine')",
        "INSERT INTO lock_engine.home (database_name, recorded_by, reason) VALUES ('x', 'x', 'x')",
        "DELETE FROM lock_engine.home",
    ):
        for role in ("lock_monitoring_role", "lock_admin_role"):
            if role == "lock_admin_role" and statement.startswith("SELECT"):
                continue
            with reader.transaction(force_rollback=True):
                reader.execute(f"SET LOCAL ROLE {role}")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute(statement)


def test_where_nobody_may_ask_which_server_it_is_nothing_acts_and_the_line_that_mends_it_is_said(
    vault_db: str, connect: Connect
) -> None:
    dba = connect(vault_db)
    with dba.transaction(force_rollback=True):
        dba.execute(
            "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC, lock_monitoring_role,"
            " lock_vault_owner, lock_door_owner"
        )
        dba.execute("SET LOCAL ROLE lock_monitoring_role")
        said = because(dba)
        assert said is not None
        assert "GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO lock_monitoring_role" in said


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Server]:
    """A cluster of the test's own, with a vault in the database `vault`."""
    with throwaway() as server:
        server.create_database(name="vault")
        vaults.install(server.dsn("vault"))
        yield server


def clone_of(server: Server, folder: Path) -> Cluster:
    """A server over a copy of the files of a stopped one."""
    folder.mkdir()
    shutil.copytree(server.cluster.data, folder / "data", symlinks=True)
    accounts.give(folder, server.cluster.account)
    for path in folder.rglob("*"):
        accounts.give(path, server.cluster.account)
    return Cluster(
        base=folder,
        binaries=server.cluster.binaries,
        account=server.cluster.account,
        port=free_port(),
        socket_directory=folder,
        durable=False,
        settings=server.cluster.settings,
    )


def test_a_promoted_standby_goes_on_and_a_clone_of_the_files_is_disarmed_by_one_line(alone: Server) -> None:
    alone.cluster.stop()
    copy = clone_of(alone, alone.cluster.base / "copy")
    (copy.data / "standby.signal").touch()
    accounts.give(copy.data / "standby.signal", copy.account)
    try:
        copy.start()
        with psycopg.connect(copy.conninfo("vault"), autocommit=True) as promoted:
            assert promoted.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
            assert because(promoted) is None
            assert promoted.execute("SELECT pg_promote()").fetchone() == (True,)
            assert because(promoted) is None
            # it cannot be told from its original: docs/security.md has this line
            said = promoted.execute("SELECT lock_admin.disarm('a clone for tests')").fetchone()
            assert said is not None and "a clone for tests" in said[0] and "lockmon_adopt" in said[0]
            assert because(promoted) == said[0]
            assert promoted.execute(
                "SELECT adopted FROM lock_admin.adopt('a place of its own')"
            ).fetchone() == (True,)
            assert because(promoted) is None
    finally:
        copy.stop()
    alone.cluster.start()


@pytest.mark.parametrize(
    ("form", "tool"), [((), "psql"), (("-Fc",), "pg_restore"), (("--no-owner", "--no-acl"), "psql")]
)
def test_restored_where_our_roles_are_missing_nothing_runs_with_its_owners_rights(
    server: Server, vault_db: str, tmp_path: Path, form: tuple[str, ...], tool: str
) -> None:
    """The functions are the restoring superuser's then, and most of them PUBLIC's to execute."""
    file = tmp_path / "vault.dump"
    dumps.dump(server, name_of(vault_db), file, *form)
    with throwaway() as elsewhere:
        name = elsewhere.create_database()
        complaints = dumps.restore(elsewhere, name, file, tool)
        assert ("does not exist" in complaints) == ("--no-owner" not in form)
        with psycopg.connect(elsewhere.dsn(name), autocommit=True) as dba:
            dba.execute("CREATE ROLE nobody LOGIN")
            for schema in (
                "lock_monitoring",
                "lock_catalog",
                "lock_engine",
                "lock_log",
                "lock_admin",
                "monitoring",
            ):
                dba.execute(f"GRANT USAGE ON SCHEMA {schema} TO PUBLIC")
                dba.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO PUBLIC")
            calls = dba.execute(DEFINERS).fetchall()
            assert len(calls) >= 45
        with psycopg.connect(elsewhere.dsn(name, "nobody"), autocommit=True) as nobody:
            nobody.execute("SET statement_timeout = '5s'")
            for function, call in calls:
                if call is None:
                    continue  # a trigger's: its body is looked at in test_privileges.py
                with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="install again"):
                    nobody.execute("BEGIN READ WRITE")
                    nobody.execute(call)
                    pytest.fail(f"{function} ran")
                nobody.execute("ROLLBACK")
        # installing gives everything its owner; it still is a copy
        vaults.install(elsewhere.dsn(name))
        with psycopg.connect(elsewhere.dsn(name), autocommit=True) as dba:
            assert dba.execute(LEFT).fetchall() == []
            said = because(dba)
            assert said is not None and "This vault is a copy" in said
            assert not str(Stored(dba).cycle()["monitoring_summary"]).startswith("skipped")


DEFINERS = """
SELECT p.oid::regprocedure::text,
       CASE WHEN p.prorettype <> 'trigger'::regtype THEN
         format('SELECT %s(%s)', p.oid::regproc, (
           SELECT string_agg(format('NULL::%s', format_type(a.type, NULL)), ', ' ORDER BY a.place)
             FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, place))) END
  FROM pg_proc AS p
 WHERE p.prosecdef AND p.pronamespace::regnamespace::text
       IN ('lock_monitoring', 'lock_catalog', 'lock_engine', 'lock_log', 'lock_admin', 'monitoring')
 ORDER BY 1
"""
LEFT = """
SELECT p.oid::regprocedure::text
  FROM pg_proc AS p JOIN pg_roles AS r ON r.oid = p.proowner
 WHERE p.prosecdef AND p.pronamespace::regnamespace::text
       IN ('lock_monitoring', 'lock_catalog', 'lock_engine', 'lock_log', 'lock_admin', 'monitoring')
   AND r.rolsuper
"""
