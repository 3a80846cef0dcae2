"""Installing, updating and removing without a superuser, as the admin role of a managed service must."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from lockmon.install import InstallError, install, remove, verify
from lockmon.install.verification import ADVICE, ROLES, WRONG
from tests.conftest import Connect, OpenSession
from tests.support import doors, sites
from tests.support.doors import Door
from tests.support.servers import Server, throwaway

DBA = "service_admin"
LOG_ROLE = "lock_log_reader"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose admin role is like a managed service's: CREATEROLE and no superuser."""
    with throwaway() as server:
        server.execute(f"CREATE ROLE {DBA} LOGIN CREATEROLE CREATEDB")
        if server.version >= 16:
            server.execute(
                f"GRANT pg_monitor, pg_signal_backend, pg_read_all_stats TO {DBA} WITH ADMIN OPTION"
            )
        yield server


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """A database of the service's admin, gone afterwards with the roles of the product."""
    name = server.create_database()
    server.execute(f"ALTER DATABASE {name} OWNER TO {DBA}")
    yield name
    server.drop_database(name)
    for role in ROLES:
        server.execute(f"DROP ROLE IF EXISTS {role}")


def members(server: Server) -> list[tuple[str, str]]:
    """Who can act as one of the product's roles, product roles left out: (member, role)."""
    options = "AND (m.set_option OR m.inherit_option)" if server.version >= 16 else ""
    with psycopg.connect(server.dsn()) as connection:
        return connection.execute(
            f"""
            SELECT m.member::regrole::text, m.roleid::regrole::text
            FROM pg_auth_members AS m
            WHERE m.roleid::regrole::text = ANY(%(roles)s)
              AND NOT m.member::regrole::text = ANY(%(roles)s) {options}
            """,
            {"roles": list(ROLES)},
        ).fetchall()


def creators(server: Server, database: str) -> list[tuple[str, str]]:
    """Owners of the product that may create in a schema of it: (owner, schema)."""
    with psycopg.connect(server.dsn(database)) as connection:
        return connection.execute(
            """
            SELECT r.rolname, n.nspname
            FROM pg_roles AS r, pg_namespace AS n
            WHERE r.rolname = ANY(%s) AND n.nspname ~ '^(lock_|monitoring$)'
              AND has_schema_privilege(r.oid, n.oid, 'CREATE')
            """,
            [list(ROLES)],
        ).fetchall()


def test_psql_installs_twice_and_nobody_keeps_a_membership(server: Server, database: str) -> None:
    for _ in range(2):
        for step in sites.STEPS:
            done = sites.psql(server, database, "-f", step, user=DBA)
            assert done.returncode == 0, done.stderr
    with psycopg.connect(server.dsn(database)) as connection:
        assert connection.execute("SELECT count(*) FROM lock_engine.installation").fetchone() == (1,)
        owners = connection.execute(
            """
            SELECT DISTINCT p.proowner::regrole::text
            FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
            WHERE n.nspname IN ('lock_catalog', 'lock_engine', 'lock_admin', 'lock_log')
            """
        ).fetchall()
    assert DBA not in {owner for (owner,) in owners}
    assert members(server) == []
    assert creators(server, database) == []


def test_deployed_without_a_superuser_the_product_works(
    server: Server, database: str, connect: Connect, session: OpenSession
) -> None:
    login = ("--login", "lm_app")
    command = [sys.executable, "manage.py", "lockmon_deploy", "--dsn", server.dsn(database, DBA), *login]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"LOCKMON_LOGIN_PASSWORD": "a secret"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with psycopg.connect(server.dsn(database, DBA), autocommit=True) as dba:
        assert not install(server.dsn(database, DBA)).changed
        checks = verify(dba)
    assert [check for check in checks if not check.passed] == []
    if server.version >= 16:
        assert [(c.name, c.state) for c in checks if c.kind == "role" and c.how] == [(LOG_ROLE, ADVICE)]
    assert members(server) == [("lm_app", "lock_monitoring_role"), ("lm_app", "lock_admin_role")]

    doors.prepare(server, server.dsn(database))
    holder = doors.hold(session, database)
    waiter = doors.wait(session, database)
    app = connect(database, user="lm_app")
    app.execute("SELECT lock_monitoring.run_lock_monitoring()")
    found = app.execute(
        "SELECT session_pid, query_preview FROM lock_monitoring.blocking_sessions_dashboard"
    ).fetchall()
    assert [pid for pid, _ in found] == [holder.pid]
    assert "UPDATE" in found[0][1]

    outcome = Door(connect(database, user=doors.KEEPER)).stop("terminate", holder.pid)
    assert outcome["outcome"] == "terminated", outcome
    waiter.result()

    # Without the right to the log its state says so, and nothing else fails.
    row = app.execute("SELECT readable, state, what_to_do FROM lock_log.status()").fetchone()
    assert row is not None
    readable, state, what_to_do = row
    assert not readable
    assert "log not readable" in state
    assert "GRANT EXECUTE ON FUNCTION pg_read_binary_file" in what_to_do


def test_what_cannot_be_given_away_is_named_with_its_grant(server: Server, database: str) -> None:
    if server.version < 16:
        pytest.skip("before PostgreSQL 16 CREATEROLE gives away every role that is no superuser")
    server.execute(f"REVOKE ADMIN OPTION FOR pg_signal_backend FROM {DBA}")
    try:
        done = sites.psql(server, database, "-f", sites.STEPS[0], user=DBA)
        assert done.returncode == 0
        assert "may not grant pg_signal_backend to lock_door_owner" in done.stderr
        assert "GRANT pg_signal_backend TO lock_door_owner;" in done.stderr
        with psycopg.connect(server.dsn(database, DBA), autocommit=True) as dba:
            how = {check.name: (check.state, check.how) for check in verify(dba) if check.kind == "role"}
        assert how["lock_door_owner"] == (WRONG, "GRANT pg_signal_backend TO lock_door_owner")
    finally:
        server.execute(f"GRANT pg_signal_backend TO {DBA} WITH ADMIN OPTION")


def test_somebody_elses_roles_are_refused_with_the_grant_that_helps(server: Server, database: str) -> None:
    if server.version < 16:
        pytest.skip("before PostgreSQL 16 CREATEROLE administers every role that is no superuser")
    server.execute("CREATE ROLE lock_vault_owner NOLOGIN")
    with pytest.raises(InstallError, match="GRANT lock_vault_owner TO service_admin WITH ADMIN OPTION"):
        install(server.dsn(database, DBA))
    server.execute(f"GRANT lock_vault_owner TO {DBA} WITH ADMIN OPTION, INHERIT FALSE, SET FALSE")
    assert install(server.dsn(database, DBA)).changed


def test_removed_without_a_superuser_nothing_is_left(server: Server, database: str) -> None:
    install(server.dsn(database, DBA))
    with psycopg.connect(server.dsn(database, DBA), autocommit=True) as dba:
        removal = remove(dba)
    assert [line for line in removal.left if "public" not in line] == []
    with psycopg.connect(server.dsn(database)) as connection:
        assert connection.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^lock_'").fetchall() == []
        assert (
            connection.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^lock_'").fetchall() == []
        )
