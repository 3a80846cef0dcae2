"""A server with a vault is brought to another major version with pg_upgrade: it watches, and nothing acts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lockmon.install import install, verify
from onevault.embedded import account as accounts
from onevault.embedded import binaries
from onevault.embedded.cluster import SUPERUSER, Cluster
from tests.support import catalog, doors, vaults
from tests.support.doors import Door
from tests.support.poll import poll
from tests.support.servers import Server, free_port, throwaway
from tests.support.sessions import Session
from tests.support.stored import VAULT_TABLES, Stored

pytestmark = pytest.mark.long

RULES = {"action": "terminate", "min_severity": "LOW", "min_blocked_seconds": 1, "user_patterns": ["app_*"]}
NEW = 18
# where the programs of the version before are: the embedded package brings 16 beside 18, Debian has 15
OLD = {
    16: lambda: Path(binaries.client("psql")).parent.parent.parent / "pginstall" / "bin",
    15: lambda: Path("/usr/lib/postgresql/15/bin"),
}


@pytest.fixture(params=OLD)
def before(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of the older version with a vault in the database `vault`, which has an armed policy."""
    folder = OLD[request.param]()
    if not (folder / "pg_upgrade").exists():
        pytest.skip(f"all programs of PostgreSQL {request.param} are not there ({folder})")
    with monkeypatch.context() as patch:
        patch.setenv("LOCKMON_PG_BIN", str(folder))
        with throwaway() as server:
            assert server.version == request.param
            server.create_database(name="vault")
            vaults.install(server.dsn("vault"))
            yield server


def upgraded(old: Server, folder: Path) -> Cluster:
    """What pg_upgrade makes of a stopped server's files; not started."""
    account = old.cluster.account
    accounts.give(folder, account)
    new = Cluster(
        base=folder,
        binaries=binaries.find(account),
        account=account,
        port=free_port(),
        socket_directory=folder,
        durable=False,
        settings=old.cluster.settings,
    )
    assert new.binaries.major == NEW
    new.initialise()
    # from 18 on initdb makes checksums, which both must have
    checksums = [old.cluster.binaries.program("pg_checksums"), "--enable", "-D", str(old.cluster.data)]
    done = accounts.run(checksums, account=account, env=accounts.clean_environment(), cwd="/")
    assert done.returncode == 0, done.stdout
    command = [new.binaries.program("pg_upgrade"), "-U", SUPERUSER, "--socketdir", str(folder)]
    command += ["-b", str(old.cluster.binaries.folder), "-B", str(new.binaries.folder)]
    command += ["-d", str(old.cluster.data), "-D", str(new.data)]
    done = accounts.run(command, account=account, env=accounts.clean_environment(), cwd=str(folder))
    assert done.returncode == 0, done.stdout
    return new


def test_after_pg_upgrade_it_watches_and_nothing_acts_until_it_is_adopted(
    before: Server, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    doors.prepare(before, before.dsn("vault"))
    with psycopg.connect(before.dsn("vault"), autocommit=True) as dba:
        dba.execute("SELECT lock_admin.save_policy('idle', %s)", [json.dumps(RULES)])
        dba.execute("SELECT lock_admin.backtest_policy('idle')")
        dba.execute("UPDATE lock_admin.setting SET value = '\"never\"' WHERE name = 'policy.second_person'")
        dba.execute("SELECT lock_admin.set_policy_mode('idle', 'armed', 'x')")
        Stored(dba).cycle()
        definitions, rows = catalog.definitions(dba), contents(dba)
    before.cluster.stop()
    monkeypatch.delenv("LOCKMON_PG_BIN", raising=False)
    folder = before.cluster.base / "new"
    folder.mkdir()
    new = upgraded(before, folder)
    after = Server(new)
    new.start()
    try:
        with psycopg.connect(after.dsn("vault"), autocommit=True) as dba:
            assert contents(dba) == rows
            assert functions(catalog.definitions(dba)) == functions(definitions)
            said = dba.execute("SELECT lock_engine.disarmed_because()").fetchone()
            assert said is not None and "This vault is a copy" in said[0] and "pg_upgrade" in said[0]
            assert [check for check in verify(dba) if not check.passed] == []
            acts_only_when_adopted(after)
            # the next install is one for this version, and changes nothing that people have
            install(after.dsn("vault"))
            assert dba.execute("SELECT lock_engine.disarmed_because()").fetchone() == (None,)
            Stored(dba).check_rules()
    finally:
        new.stop()
        shutil.rmtree(folder, ignore_errors=True)


def contents(dba: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """All rows of the published tables."""
    found = catalog.contents(dba)
    return {table: found[f"lock_monitoring.{table}"] for table in VAULT_TABLES}


def functions(lines: list[str]) -> list[str]:
    """The functions among a database's definitions, with owners and rights."""
    return [line for line in lines if line.startswith("function ")]


def acts_only_when_adopted(server: Server) -> None:
    """An armed policy leaves a blocker alone, whom the vault sees, until somebody says that it may act."""
    dsn = server.dsn("vault")
    holder = Session(server.dsn("vault", doors.ORDINARY), application_name="billing")
    waiter = Session(server.dsn("vault", doors.ORDINARY), application_name="api")
    with (
        psycopg.connect(dsn, autocommit=True) as dba,
        psycopg.connect(server.dsn("vault", doors.KEEPER), autocommit=True) as keeper,
    ):
        door = Door(keeper)
        holder.run("UPDATE app.accounts SET balance = 1 WHERE id = 1")
        waiter.start("UPDATE app.accounts SET balance = 2 WHERE id = 1")
        waiter.wait_blocked()
        since = "SELECT max(extract(epoch FROM clock_timestamp() - w.blocking_since))"
        since += " FROM lock_catalog.waits_for() AS w"
        poll(lambda: (dba.execute(since).fetchone() or (0,))[0] > 1.1, what="a second of waiting")
        stored = Stored(dba)
        stored.cycle()
        assert stored.episodes(holder.pid), "it watches"
        for _ in range(3):
            assert door.all("SELECT * FROM lock_admin.run_policies()") == []
        assert doors.alive(dsn)(holder.pid)
        adopted = door.one("SELECT * FROM lock_admin.adopt('after pg_upgrade', 'ann')")
        assert adopted["adopted"] and "1 is armed" in adopted["message"]

        def gone() -> bool:
            door.all("SELECT * FROM lock_admin.run_policies()")
            return not doors.alive(dsn)(holder.pid)

        poll(gone, 20, "the policy's stop", 0.2)
        waiter.abandon()
        holder.abandon()
