"""Where an install is refused: one sentence, and nothing was changed."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from lockmon.install import InstallError, install, manifest
from lockmon.install.manifest import SQL_FOLDER
from tests.conftest import Connect
from tests.support import catalog, sites, strangers
from tests.support.servers import Server, throwaway

EVERYTHING = (*catalog.OURS, "auth", "util", "app", "public")


def manage(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of manage.py as a person would."""
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def one_sentence(text: str) -> str:
    """The only line of an error message."""
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert "Traceback" not in lines[0]
    return lines[0]


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("host=/nowhere dbname=one_vault", "The database cannot be reached"),
        ("hast=localhost", "This is no connection string"),
        ("", "Say which database"),
    ],
)
def test_a_wrong_dsn_is_one_sentence(dsn: str, words: str) -> None:
    done = manage("lockmon_deploy", "--dsn", dsn)
    assert done.returncode == 1
    assert words in one_sentence(done.stderr)


def test_a_database_that_is_not_there_is_one_sentence(server: Server) -> None:
    done = manage("lockmon_deploy", "--dsn", server.dsn("no_such_database"))
    assert done.returncode == 1
    assert 'database "no_such_database" does not exist' in one_sentence(done.stderr)


@pytest.mark.parametrize(
    ("attributes", "grant"), [("CREATEROLE", ""), ("CREATEDB", "GRANT CREATE ON DATABASE {} TO weak_dba")]
)
def test_without_rights_nothing_changes(
    server: Server, connect: Connect, attributes: str, grant: str
) -> None:
    name = server.create_database()
    connection = connect(name)
    connection.execute("DROP ROLE IF EXISTS weak_dba")
    connection.execute(f"CREATE ROLE weak_dba LOGIN {attributes}")
    connection.execute(grant.format(name))
    before = catalog.definitions(connection, EVERYTHING)
    done = manage("lockmon_deploy", "--dsn", server.dsn(name, "weak_dba"))
    assert done.returncode == 1
    sentence = one_sentence(done.stderr)
    assert 'Role "weak_dba" may not install: it needs CREATEROLE' in sentence
    assert f'CREATE on the database "{name}"' in sentence
    by_psql = sites.psql(server, name, "-f", sites.STEPS[0], user="weak_dba")
    assert by_psql.returncode != 0
    assert 'Role "weak_dba" may not install' in by_psql.stderr
    assert catalog.definitions(connection, EVERYTHING) == before
    connection.execute("DROP OWNED BY weak_dba; DROP ROLE weak_dba")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "ALTER TABLE lock_monitoring.lock_activity_s ADD COLUMN colour text",
            "lock_activity_s.colour is not known",
        ),
        (
            "ALTER TABLE lock_monitoring.lock_activity_h ADD COLUMN colour text",
            "lock_activity_h.colour is not known",
        ),
        (
            "ALTER TABLE lock_monitoring.lock_activity_s ALTER COLUMN lock_pid TYPE bigint",
            "lock_activity_s.lock_pid is bigint instead of integer",
        ),
        (
            "ALTER TABLE lock_monitoring.blocking_session_s DROP COLUMN backend_type",
            "blocking_session_s.backend_type is missing",
        ),
        (
            "DROP TABLE lock_monitoring.deadlock_involvement_l; "
            "CREATE VIEW lock_monitoring.deadlock_involvement_l AS SELECT 1 AS one",
            "deadlock_involvement_l is a view",
        ),
    ],
)
def test_a_site_with_unexpected_columns_is_told_which(
    server: Server, connect: Connect, change: str, words: str
) -> None:
    name = sites.real_site(server)
    connection = connect(name)
    connection.execute(change)
    before = catalog.definitions(connection, EVERYTHING)
    done = manage("lockmon_deploy", "--dsn", server.dsn(name))
    assert done.returncode == 1
    sentence = one_sentence(done.stderr)
    assert words in sentence
    assert "Nothing was changed." in sentence
    by_psql = sites.psql(server, name, "-f", sites.STEPS[0])
    assert by_psql.returncode != 0
    assert words in by_psql.stderr
    assert catalog.definitions(connection, EVERYTHING) == before


def test_a_site_with_two_open_rows_per_hub_is_told(server: Server, connect: Connect) -> None:
    name = sites.real_site(server)
    connection = connect(name)
    connection.execute(
        """
        INSERT INTO lock_monitoring.blocking_session_h
            (blocking_session_hk, blocking_session_bk, tenant_hk, record_source)
        SELECT 'b', 'b', t.tenant_hk, 'OLD' FROM auth.tenant_h AS t LIMIT 1;
        INSERT INTO lock_monitoring.blocking_session_s
            (blocking_session_hk, load_date, hash_diff, session_pid, record_source)
        SELECT 'b', now() - n * interval '1 hour', 'h', 1, 'OLD' FROM generate_series(1, 2) AS n
        """
    )
    with pytest.raises(
        InstallError, match=r"blocking_session_s has 1 hub.s. with more than one open row"
    ) as caught:
        install(server.dsn(name))
    assert "Nothing was changed." in str(caught.value)


def test_a_read_only_connection_is_one_sentence(server: Server) -> None:
    name = server.create_database()
    with pytest.raises(InstallError, match="This connection is read only"):
        install(f"{server.dsn(name)} options='-c default_transaction_read_only=on'")


def test_postgresql_12_is_one_sentence(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = server.create_database()
    connection = connect(name)
    # No PostgreSQL 12 is at hand: a function says what that one would say, and the first file asks it.
    connection.execute(
        """
        CREATE SCHEMA older;
        CREATE FUNCTION older.current_setting(p_name text) RETURNS text LANGUAGE sql AS $$
            SELECT CASE p_name WHEN 'server_version_num' THEN '120022' WHEN 'server_version' THEN '12.22'
                               ELSE pg_catalog.current_setting(p_name) END
        $$
        """
    )
    listed = manifest.sources()
    text = listed[0].text.replace("current_setting('server_version", "older.current_setting('server_version")
    assert text != listed[0].text
    vars(listed[0])["text"] = text
    monkeypatch.setattr(manifest, "sources", lambda: listed)
    with pytest.raises(InstallError) as caught:
        install(server.dsn(name))
    assert str(caught.value) == (
        "One Vault lock monitor needs PostgreSQL 13 or newer; this server is 12.22. Nothing was changed."
    )
    assert connection.execute("SELECT to_regnamespace('lock_monitoring') IS NULL").fetchone() == (True,)


@pytest.mark.slow
def test_a_standby_is_one_sentence() -> None:
    with throwaway() as server:
        server.cluster.stop()
        (server.cluster.data / "standby.signal").touch()
        server.cluster.start()
        with pytest.raises(InstallError, match="This server is a standby"):
            install(server.dsn())
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("SELECT to_regnamespace('lock_monitoring') IS NULL").fetchone() == (
                True,
            )


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "MULE_INTERNAL"])
def test_an_encoding_in_which_text_has_no_meaning_is_refused(
    server: Server, connect: Connect, encoding: str
) -> None:
    name = f"in_{encoding.lower()}"
    strangers.create_database(server, name, encoding)
    words = f'The database "{name}" has the encoding {encoding}'
    if encoding == "SQL_ASCII":  # the other has no way to UTF-8, so that nothing of ours connects there
        done = manage("lockmon_deploy", "--dsn", server.dsn(name))
        assert done.returncode == 1
        assert words in one_sentence(done.stderr)
    for step in ("step_7_lock_monitoring.sql", "step_8_blocking_detection.sql"):
        command = [server.program("psql"), "-X", "-d", server.dsn(name), "-f", str(SQL_FOLDER / step)]
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert told.returncode == 3
        assert words in told.stderr and "Nothing was changed" in told.stderr
    rows = (
        connect(f"{server.dsn(name)} client_encoding=LATIN1")
        .execute("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'lock\\_%'")
        .fetchall()
    )
    assert rows == []
