"""Back to the release before with its own tools, and forward again: the vault, the loop, the web's tables.

That release is tests/data/releases/rc1_code.tar.gz, as it was; what it needs of Python is still there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lockmon.install import install, verify
from tests.conftest import Connect, OpenSession
from tests.support import releases
from tests.support.loops import ROOT, url
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.stored import OF_THIS_SERVER, Stored
from tests.support.vaults import APP_LOGIN

WEB = "web_login"
PEOPLE = "from django.contrib.auth.models import User; "
MADE = PEOPLE + "User.objects.create_superuser('ann', password='ann-ann-ann')"
# a person that the release before knew: who it is, whether the password is known, what the pages say
WALK = (
    PEOPLE
    + "from django.contrib.auth import authenticate; from django.test import Client; c = Client();"
    + "ann = User.objects.get(username='ann'); assert ann.check_password('ann-ann-ann');"
    + "c.force_login(ann, backend='django.contrib.auth.backends.ModelBackend');"
    + "print('pages', [c.get(p, follow=True).status_code for p in ("
    + "'/admin/', '/admin/monitor/live/', '/admin/lockmon/lockactivity/', '/admin/auth/user/')])"
)


@dataclass(frozen=True)
class Release:
    """A release's manage.py over one vault and one place for Django's tables."""

    folder: Path
    variables: dict[str, str]

    def process(self, *arguments: str) -> list[str]:
        """The command line."""
        return [sys.executable, "manage.py", *arguments]

    def run(self, *arguments: str, fails: bool = False) -> str:
        """Run a command; what it says."""
        done = subprocess.run(
            self.process(*arguments),
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, said
        return said

    def loop(self) -> subprocess.Popen[bytes]:
        """Start the loop."""
        return subprocess.Popen(
            self.process("lockmon_monitor", "--no-helpers"),
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@pytest.fixture(scope="module")
def old_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Release candidate 1, unpacked."""
    return releases.code("rc1", tmp_path_factory.mktemp("releases"))


@pytest.fixture
def vault(server: Server, template_vault: str) -> Iterator[str]:
    """The name of a living site of rc1; its roles are there."""
    name = releases.restore(server, "rc1")
    if not _is_role(server, WEB):
        server.execute(f"CREATE ROLE {WEB} LOGIN")
    yield name
    server.drop_database(name)


def _is_role(server: Server, name: str) -> bool:
    with psycopg.connect(server.dsn()) as connection:
        return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone() is not None


def both(old_code: Path, vault_dsn: str, web_dsn: str | None) -> tuple[Release, Release]:
    """The release before and this one, over the same databases."""
    variables = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    variables |= {
        "VAULT_DATABASE_URL": url(vault_dsn),
        "ONEVAULT_LOCAL": str(old_code / "local"),
        "SECRET_KEY": "only-for-tests-" * 4,
        "ALLOWED_HOSTS": "*",
        "HTTPS_ONLY": "0",
        "CONN_MAX_AGE": "0",
    }
    if web_dsn:
        variables["DATABASE_URL"] = url(web_dsn)
    return Release(old_code, variables), Release(ROOT, variables)


@dataclass(frozen=True)
class OwnWeb:
    """Django's tables in a database that the login owns, as the release before made them there."""

    dba: psycopg.Connection[Any]
    old: Release
    new: Release


@pytest.fixture
def own_web(server: Server, vault: str, old_code: Path, connect: Connect) -> Iterator[OwnWeb]:
    """Both releases over such a database."""
    web = server.create_database()
    dba = connect(web)
    dba.execute(f"ALTER DATABASE {web} OWNER TO {WEB}; GRANT ALL ON SCHEMA public TO {WEB}")
    old, new = both(old_code, server.dsn(vault, APP_LOGIN), server.dsn(web, WEB))
    try:
        old.run("migrate", "-v0")
        yield OwnWeb(dba, old, new)
    finally:
        dba.execute(f"ALTER ROLE {WEB} IN DATABASE {web} RESET ALL")
        server.drop_database(web)


def looked_after(dsn: str, moment: datetime) -> bool:
    """Whether a loop watches, of whichever release, and has looked since."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(
            "SELECT state = 'watching' AND last_look_at > %s FROM lock_engine.monitor_status", [moment]
        ).fetchone()
    return row == (True,)


@pytest.mark.slow
def test_the_loop_of_before_watches_over_the_update_and_after_the_way_back(
    server: Server, vault: str, old_code: Path, connect: Connect, session: OpenSession
) -> None:
    dsn = server.dsn(vault)
    web = server.create_database()
    old, _new = both(old_code, server.dsn(vault, APP_LOGIN), server.dsn(web))
    old.run("migrate", "-v0")
    stored = Stored(connect(dsn))
    # a prepared SELECT * ends where a table gets a column
    stored.connection.prepare_threshold = None
    pair = session(dsn, user="shop_rw"), session(dsn, user="shop_rw")
    begun = stored.value("SELECT clock_timestamp()")
    loop = old.loop()
    try:
        poll(lambda: looked_after(dsn, begun), 60, "the loop of before")
        pair[0].run("UPDATE demo.accounts SET balance = 1 WHERE id = 150")
        pair[1].start("UPDATE demo.accounts SET balance = 2 WHERE id = 150")
        pair[1].wait_blocked()
        poll(lambda: stored.episodes(pair[0].pid, OF_THIS_SERVER), 30, "the episode")
        assert install(dsn).changed
        updated = stored.value("SELECT clock_timestamp()")
        poll(lambda: looked_after(dsn, updated), 60, "a look after the update")
        pair[0].close()
        pair[1].result()
        pair[1].run("ROLLBACK")
        ended = "SELECT count(*) = 0 FROM lock_monitoring.blocking_session_s"
        ended += " WHERE node = %s AND load_end_date IS NULL"
        poll(lambda: stored.value(ended, pair[0].pid), 30, "the episode's end")
        assert loop.poll() is None
    finally:
        loop.terminate()
        loop.wait(60)
    stopped = stored.value("SELECT clock_timestamp()")
    # to this release the loop of before is a cron line, of which pauses of six minutes are none
    stored.connection.execute(
        "UPDATE lock_admin.setting SET value = '5' WHERE name = 'watch.max_look_spacing_seconds'"
    )
    stored.check_rules()
    modes = stored.rows(
        "SELECT policy_hk, mode, reason FROM lock_admin.policy_mode_s WHERE load_end_date IS NULL"
    )

    said = old.run("lockmon_deploy", "--dsn", dsn)
    assert "280 of 280 checks passed" in said, said
    loop = old.loop()
    try:
        poll(lambda: looked_after(dsn, stopped), 100, "the loop of before, again")
        began = stored.value("SELECT clock_timestamp()")
        pair[1].run("UPDATE demo.accounts SET balance = 3 WHERE id = 151")
        behind = session(dsn, user="shop_rw")
        behind.start("UPDATE demo.accounts SET balance = 4 WHERE id = 151")
        behind.wait_blocked()
        poll(lambda: stored.episodes(pair[1].pid, OF_THIS_SERVER), 30, "an episode in the release before")
    finally:
        loop.terminate()
        loop.wait(60)
    assert (
        stored.rows(
            "SELECT policy_hk, mode, reason FROM lock_admin.policy_mode_s WHERE load_end_date IS NULL"
        )
        == modes
    ), "what the update made a dry run stays one"

    assert install(dsn).changed
    assert [check for check in verify(stored.connection) if not check.passed] == []
    # what this release did not watch is known as that, with the first look that follows
    stored.cycle()
    unwatched = stored.value(
        "SELECT coalesce(sum(extract(epoch FROM least(g.span_end, %s) - greatest(g.span_start, %s))),"
        " 0)::float"
        " FROM lock_engine.unwatched_spans(%s, %s) AS g",
        *(began, stopped, stopped, began),
    )
    assert unwatched > 0.9 * (began - stopped).total_seconds()
    stored.check_rules()


@pytest.mark.long
@pytest.mark.parametrize(
    "place",
    [
        "its own",
        "granted",
        "the vault's",
        "beside the vault",
    ],
)
def test_people_are_found_by_both_releases_wherever_their_tables_are(
    server: Server, vault: str, old_code: Path, connect: Connect, place: str
) -> None:
    web = vault if "vault" in place else server.create_database()
    dba = connect(web)
    dba.execute(f"GRANT CREATE ON SCHEMA public TO {WEB}")
    if place == "its own":
        dba.execute(f"ALTER DATABASE {web} OWNER TO {WEB}")
    elif place == "granted":
        dba.execute(f"GRANT CREATE ON DATABASE {web} TO {WEB}")
    elif place == "beside the vault":
        dba.execute(f"CREATE SCHEMA onevault_web AUTHORIZATION {APP_LOGIN}")
    beside = place == "beside the vault"
    dba.execute(f"ALTER ROLE {APP_LOGIN} IN DATABASE {vault} SET role = 'lock_monitoring_role'")
    old, new = both(old_code, server.dsn(vault, APP_LOGIN), None if beside else server.dsn(web, WEB))
    try:
        old.run("migrate", "-v0")
        old.run("shell", "-c", MADE)
        before = dba.execute("SHOW search_path").fetchone()

        install(server.dsn(vault))
        if place == "the vault's":
            said = new.run("migrate", fails=True)
            line = f"CREATE SCHEMA onevault_web AUTHORIZATION {WEB};"
            assert line in said
            dba.execute(line)
        said = new.run("migrate")
        assert ("tables were moved from the schema public" in said) == (not beside)
        assert "pages [200, 200, 200, 200]" in new.run("shell", "-c", WALK)
        assert connect(web).execute("SHOW search_path").fetchone() == before, "others look where they did"

        old.run("lockmon_deploy", "--dsn", server.dsn(vault))
        assert "No migrations to apply" in old.run("migrate")
        assert "pages [200, 200, 200, 200]" in old.run("shell", "-c", WALK)
        assert "No migrations to apply" in new.run("migrate"), "and forward again"
    finally:
        dba.execute(f"ALTER ROLE {WEB} IN DATABASE {web} RESET ALL")
        dba.execute(f"ALTER ROLE {APP_LOGIN} IN DATABASE {vault} RESET ALL")
        if web != vault:
            server.drop_database(web)


@pytest.mark.long
def test_tables_that_another_application_uses_too_are_left_to_it(
    server: Server, vault: str, own_web: OwnWeb
) -> None:
    """A site whose own Django application has its tables in the same schema, users among them."""
    own_web.old.run("shell", "-c", MADE)
    own_web.dba.execute(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0001_initial', now())"
    )
    said = own_web.new.run("migrate", fails=True)
    assert "another Django application's, too (shop)" in said and "Traceback" not in said
    there = own_web.dba.execute("SELECT to_regclass('public.auth_user') IS NOT NULL").fetchone()
    assert there == (True,)
    # the way that the sentence says
    variables = own_web.new.variables
    place = variables["DATABASE_URL"] + "?options=-c%20search_path%3Dpublic"
    beside = Release(ROOT, variables | {"DATABASE_URL": place})
    install(server.dsn(vault))
    beside.run("migrate", "-v0")
    assert "pages [200, 200, 200, 200]" in beside.run("shell", "-c", WALK)


@pytest.mark.long
def test_tables_that_belong_to_another_role_are_given_over_by_the_line(own_web: OwnWeb) -> None:
    tables = [
        name for (name,) in own_web.dba.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    ]
    for table in tables:
        own_web.dba.execute(f"ALTER TABLE public.{table} OWNER TO postgres")
    said = own_web.new.run("migrate", fails=True)
    assert f"OWNER TO {WEB};" in said and all(table in said for table in tables)
    for table in tables:
        own_web.dba.execute(f"ALTER TABLE public.{table} OWNER TO {WEB}")
    assert f"{len(tables)} tables were moved" in own_web.new.run("migrate")
