"""Letting the application's login in, and removing everything again."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import psycopg
import pytest

from lockmon.install import InstallError, grant_login, install, remove, verify, what_is_lost
from lockmon.install.verification import ROLES
from tests.conftest import Connect
from tests.support import catalog, sites
from tests.support.servers import Server, throwaway

EVERYTHING = (*catalog.OURS, "auth", "util", "audit", "app")


def manage(
    *arguments: str, answer: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of manage.py as a person would, or as a script where there is no answer."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | environment,
        input=answer,
    )


def test_a_new_login_reads_and_may_take_the_admin_role(server: Server, connect: Connect) -> None:
    name = server.create_database()
    secret = "a 'quoted' secret"
    done = manage(
        "lockmon_deploy", "--dsn", server.dsn(name), "--login", "lm_app", LOCKMON_LOGIN_PASSWORD=secret
    )
    assert done.returncode == 0, done.stderr
    assert "lm_app was made and may work for the monitor" in done.stdout
    assert secret not in done.stdout + done.stderr
    with psycopg.connect(
        f"host=127.0.0.1 port={server.port} dbname={name} user=lm_app", password=secret, autocommit=True
    ) as app:
        assert app.execute("SELECT current_user, session_user").fetchone() == (
            "lock_monitoring_role",
            "lm_app",
        )
        assert app.execute("SELECT count(*) FROM lock_monitoring.lock_activity_s").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("SELECT * FROM lock_monitoring.cleanup_old_data(30)")
        with app.transaction():
            app.execute("SET LOCAL ROLE lock_admin_role")
            app.execute("SELECT * FROM lock_monitoring.cleanup_old_data(30)")
        app.execute("SET ROLE NONE")
        # Nothing is inherited: without a role the login can do nothing here.
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("SELECT count(*) FROM lock_monitoring.lock_activity_s")
    dba = connect(name)
    assert dba.execute("SELECT lock_admin.setting('monitor.own_logins') ? 'lm_app'").fetchone() == (True,)
    assert dba.execute("SELECT login::text FROM lock_admin.application_login").fetchall() == [("lm_app",)]
    row = dba.execute(
        "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'lm_app'"
    ).fetchone()
    assert row == (True,)


def test_the_password_is_not_in_the_servers_log(server: Server, connect: Connect) -> None:
    name = server.create_database()
    install(server.dsn(name))
    connection = connect(name)
    connection.execute("SET log_statement = 'ddl'")
    grant_login(connection, "lm_logged", "open-sesame-42")
    logs = "".join(path.read_text(errors="replace") for path in server.log_directory.iterdir())
    assert "open-sesame-42" not in logs


def test_a_login_again_changes_nothing(server: Server, connect: Connect) -> None:
    name = server.create_database()
    install(server.dsn(name))
    connection = connect(name)
    assert grant_login(connection, "lm_twice", "x").created
    before = catalog.definitions(connection), catalog.contents(connection)
    again = grant_login(connection, "lm_twice")
    assert (again.created, again.password_set) == (False, False)
    assert (catalog.definitions(connection), catalog.contents(connection)) == before


def test_a_login_for_reading_only_cannot_take_the_admin_role(server: Server, connect: Connect) -> None:
    name = server.create_database()
    install(server.dsn(name))
    grant_login(connect(name), "lm_reader", "x", admin=False)
    reader = connect(name, user="lm_reader")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("SET ROLE lock_admin_role")


def test_a_superuser_is_not_let_in(server: Server, connect: Connect) -> None:
    name = server.create_database()
    install(server.dsn(name))
    with pytest.raises(InstallError, match='"postgres" is a superuser'):
        grant_login(connect(name), "postgres")


@pytest.mark.parametrize("role", ["lock_vault_owner", "lock_site_reader", "lock_monitoring_role"])
def test_a_role_of_the_monitors_own_is_let_in_nowhere(server: Server, connect: Connect, role: str) -> None:
    name = server.create_database()
    install(server.dsn(name))
    connection = connect(name)
    for tenants_only in (False, True):
        with pytest.raises(InstallError, match="nobody logs in as: give the application a login"):
            grant_login(connection, role, "secret-for-a-test", tenants_only=tenants_only)
    row = connection.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    assert row == (False,)


def test_a_new_login_without_a_password_is_one_sentence(server: Server) -> None:
    name = server.create_database()
    done = manage("lockmon_deploy", "--dsn", server.dsn(name), "--login", "lm_nobody", answer="")
    assert done.returncode == 1
    assert "put its password into $LOCKMON_LOGIN_PASSWORD" in done.stderr


def test_removal_leaves_an_empty_database_empty(server: Server, connect: Connect) -> None:
    name = server.create_database()
    connection = connect(name)
    spaces = (
        "SELECT array_agg(nspname::text ORDER BY 1) FROM pg_namespace "
        "WHERE nspname !~ '^pg_(temp|toast_temp)'"
    )
    before = connection.execute(spaces).fetchone()
    install(server.dsn(name))
    connection.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
    done = manage("lockmon_uninstall", "--dsn", server.dsn(name), "--yes")
    assert done.returncode == 0, done.stderr
    assert "It cannot be undone." in done.stdout
    assert connection.execute(spaces).fetchone() == before


def test_removal_gives_a_site_its_own_back(server: Server, connect: Connect) -> None:
    name = sites.real_site(server)
    connection = connect(name)

    def structure() -> list[str]:
        lines = catalog.definitions(connection, EVERYTHING)
        words = ("member ", "comment ", "view ", "function lock_monitoring", "relation v lock_monitoring")
        kept = [line for line in lines if not line.startswith(words) and "_dashboard" not in line]
        # The owner's own rights are written out once anybody was granted something.
        plain = [re.sub(r" postgres=\w+/postgres", "", line).rstrip() for line in kept]
        # Bounds that the install took away stay away: they are not the contract's.
        plain = [re.sub(r"numeric\(\d+,\d+\)", "numeric", line) for line in plain]
        return [re.sub(r"character varying\(\d+\)\[\]", "text[]", line) for line in plain]

    before = structure()
    install(server.dsn(name))
    connection.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
    removal = remove(connection)
    after = structure()
    assert [line for line in before if line not in after] == []
    assert [line for line in after if line not in before] == []
    assert any("lock_monitoring.lock_activity_s" in words for words in removal.left)
    assert connection.execute("SELECT count(*) FROM lock_monitoring.lock_activity_s").fetchone() == (0,)
    assert install(server.dsn(name)).changed, "it can be installed again"


def test_removal_names_what_a_site_built_upon_it(server: Server, connect: Connect) -> None:
    name = sites.real_site(server)
    install(server.dsn(name))
    connection = connect(name)
    connection.execute("CREATE VIEW app.waiting AS SELECT pid FROM lock_catalog.locks WHERE NOT granted")
    with pytest.raises(InstallError, match=r"The site built upon what would be removed: view app.waiting"):
        remove(connection)
    assert what_is_lost(connection), "still there"


def test_removal_asks_a_script_for_yes_and_a_person_for_the_name(server: Server, connect: Connect) -> None:
    name = server.create_database()
    install(server.dsn(name))
    done = manage("lockmon_uninstall", "--dsn", server.dsn(name), answer="")
    assert done.returncode == 1
    assert "say --yes. Nothing was changed." in done.stderr
    assert "lock_admin.setting " in done.stdout, "it says what would be lost"
    assert what_is_lost(connect(name))


def test_removal_where_nothing_is_installed_is_one_sentence(server: Server) -> None:
    done = manage("lockmon_uninstall", "--dsn", server.dsn(server.create_database()), "--yes")
    assert done.returncode == 1
    assert "The monitor is not installed" in done.stderr


@pytest.mark.slow
def test_removal_takes_its_roles_along_and_leaves_those_of_others() -> None:
    with throwaway() as server:
        server.execute("CREATE ROLE lock_admin_role")
        first, second = server.create_database(), server.create_database()
        for name in (first, second):
            install(server.dsn(name))
        found = "SELECT array_agg(rolname::text ORDER BY 1) FROM pg_roles WHERE rolname LIKE 'lock\\_%'"
        with psycopg.connect(server.dsn(first), autocommit=True) as connection:
            removal = remove(connection)
            assert any("lock_vault_owner: something in" in words for words in removal.left)
            row = connection.execute(found).fetchone()
            assert row is not None
            assert len(row[0]) == len(ROLES), "the other database needs them"
        with psycopg.connect(server.dsn(second), autocommit=True) as connection:
            assert [check for check in verify(connection) if not check.passed] == []
            remove(connection)
            assert connection.execute(found).fetchone() == (["lock_admin_role"],), "somebody else made it"
