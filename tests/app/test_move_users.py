"""lockmon_move_users: everybody and everything arrives, all or nothing, and there is a way back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Connect
from tests.support.loops import ROOT, url
from tests.support.servers import Server, free_port
from tests.support.vaults import APP_LOGIN
from tests.support.web_places import PASSWORD, Site, site

pytestmark = pytest.mark.slow

_MADE = """
from datetime import datetime, UTC
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django_q.models import Schedule
from lockmon.models import ApiToken
anna = User.objects.create_user("anna", password="only-for-tests", is_staff=True, first_name="Änne")
anna.groups.add(Group.objects.get(name="lock_admin_role"))
anna.user_permissions.add(Permission.objects.get(codename="delete_user"))
own = Group.objects.create(name="night shift")
own.permissions.add(Permission.objects.get(codename="stop_session"))
bert = User.objects.create_user("bert", password="only-for-tests")
User.objects.create_user("gone").delete()
bert.groups.add(own)
token, _shown = ApiToken.make(user=anna, name="grafana")
ApiToken.objects.update(made_at=datetime(2020, 5, 4, tzinfo=UTC))
LogEntry.objects.create(user=anna, content_type=ContentType.objects.get(model="user"), object_id="2",
                        object_repr="bert", action_flag=2, change_message="[]")
Schedule.objects.filter(name="lockmon vault: cleanup").update(repeats=0, kwargs="days=90")
"""
_TELL = """
import json
from django.contrib.admin.models import LogEntry
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group, User
from django_q.models import Schedule
from lockmon.models import ApiToken
anna = User.objects.get(username="anna")
print("FACTS", json.dumps({
    "people": list(User.objects.order_by("pk").values_list("pk", "username", "first_name", "password")),
    "rights": sorted(anna.get_all_permissions()),
    "own": sorted(User.objects.get(username="bert").get_all_permissions()),
    "groups": list(Group.objects.order_by("pk").values_list("pk", "name")),
    "tokens": [str(one) for one in ApiToken.objects.values_list("pk", "digest", "made_at", "user__username")],
    "log": list(LogEntry.objects.values_list("pk", "user__username", "content_type__model", "object_repr")),
    "schedules": [str(one) for one in Schedule.objects.order_by("pk").values_list(
        "pk", "name", "repeats", "kwargs", "next_run")],
}))
"""
_LATER = """
from django.contrib.auth.models import User
from lockmon.models import ApiToken
later = User.objects.create_user("later", is_staff=True)
print("NUMBER", later.pk, ApiToken.make(user=later, name="x")[0].pk)
"""


@pytest.fixture
def old(server: Server, template_vault: str, tmp_path: Path, connect: Connect) -> Iterator[Site]:
    """A site with people beside the vault, as releases before have them."""
    name = server.create_database(template=template_vault)
    connect(name).execute(f"CREATE SCHEMA onevault_web AUTHORIZATION {APP_LOGIN}")
    one = site(server, name, tmp_path / "local")
    one.does("shell", "-c", "from django.core.management import call_command as c; c('migrate', verbosity=0)")
    one.does("shell", "-c", _MADE)
    yield one
    server.drop_database(name)


def facts(one: Site, **more: str) -> str:
    """Everything that has to arrive."""
    said = one.does("shell", "-c", _TELL, **more)
    (line,) = [line for line in said.splitlines() if line.startswith("FACTS")]
    return line


def pages(one: Site, **more: str) -> str:
    """What anna sees with her password, and what is new afterwards."""
    script = (
        "from django.test import Client; c = Client(headers={'host': '127.0.0.1'});"
        f" who = {{'username': 'anna', 'password': '{PASSWORD}'}};"
        " a = c.post('/admin/login/?next=/admin/auth/group/', who);"
        " print('SAID', a.status_code, c.get('/admin/django_q/schedule/').status_code)"
    )
    return one.does("shell", "-c", script, **more)


def test_to_a_file_of_this_host_and_back(old: Site) -> None:
    before = facts(old)
    said = old.does("lockmon_move_users")
    assert f"{'people':<26}{2:>7}{2:>7}" in said
    assert f"{'groups':<26}{3:>7}{3:>7}" in said
    assert f"{'schedules':<26}{5:>7}{5:>7}" in said
    assert "Sessions were not moved" in said and "Restart what runs" in said
    assert old.word == "sqlite"
    assert {path.name.partition("-")[0] for path in old.local.iterdir()} == {"web_database", "web.sqlite3"}
    assert facts(old) == before
    assert "SAID 302 200" in pages(old)
    assert old.does("migrate", "-v0") == ""
    assert facts(old) == before, "migrate has nothing to add"
    # numbers go on behind those that came
    assert "NUMBER 3 2" in old.does("shell", "-c", _LATER)
    assert "in a place of their own already" in old.refuses("lockmon_move_users")

    assert "beside the vault again" in old.does("lockmon_move_users", "--back")
    assert old.word == "vault"
    assert facts(old) == before, "nothing was deleted at the old place"
    assert "there is nothing to go back to" in old.refuses("lockmon_move_users", "--back")
    assert "is there already: move it away" in old.refuses("lockmon_move_users")
    assert old.word == "vault"


def test_to_a_server_and_from_the_file_of_a_host_too(old: Site, server: Server) -> None:
    before = facts(old)
    first, second = server.create_database(), server.create_database()
    try:
        place: dict[str, Any] = {"DATABASE_URL": url(server.dsn(first))}
        old.does("migrate", "-v0", **place)
        assert f"{'people':<26}{2:>7}{2:>7}" in old.does("lockmon_move_users", **place)
        assert facts(old, **place) == before
        assert "NUMBER 3 2" in old.does("shell", "-c", _LATER, **place)
        assert "has 3 people already: nothing was moved" in old.refuses("lockmon_move_users", **place)
        assert "unset it to go back" in old.refuses("lockmon_move_users", "--back", **place)
        assert facts(old) == before, "without DATABASE_URL the old place is used again"

        old.does("lockmon_move_users")
        place = {"DATABASE_URL": url(server.dsn(second))}
        assert f"{'people':<26}{2:>7}{2:>7}" in old.does("lockmon_move_users", **place)
        assert facts(old, **place) == before
    finally:
        server.drop_database(first)
        server.drop_database(second)


def test_all_or_nothing(old: Site, server: Server, connect: Connect) -> None:
    """The last table of all refuses at the new place; then one is not to be had at the old one."""
    before = facts(old)
    web = server.create_database()
    try:
        place: dict[str, Any] = {"DATABASE_URL": url(server.dsn(web))}
        old.does("migrate", "-v0", **place)
        dba = connect(web)
        dba.execute("ALTER TABLE onevault_web.django_q_schedule ADD CHECK (kwargs <> 'days=90')")
        said = old.refuses("lockmon_move_users", **place)
        assert "Nothing was moved:" in said
        for table, number in (("auth_user", 0), ("auth_group", 2), ("django_q_schedule", 5)):
            found = dba.execute(f"SELECT count(*) FROM onevault_web.{table}").fetchone()
            assert found == (number,), table
    finally:
        server.drop_database(web)
    vault = connect(old.vault.rsplit("/", 1)[1])
    vault.execute("ALTER TABLE onevault_web.auth_group RENAME COLUMN name TO called")
    old.refuses("lockmon_move_users")
    assert [path.name for path in old.local.iterdir()] == []
    vault.execute("ALTER TABLE onevault_web.auth_group RENAME COLUMN called TO name")
    assert facts(old) == before


_KILLED = """
import os
from django.core.management import call_command
from onevault import web_place
change = web_place.change
def killed(local, word):
    os._exit(9) if word == "sqlite" else change(local, word)
web_place.change = killed
call_command("lockmon_move_users")
"""
_HELD = """
import sys
from django.core.management import call_command
from lockmon.management import moving
move = moving.move
def held():
    found = move()
    print("HELD", flush=True)
    sys.stdin.readline()
    return found
moving.move = held
call_command("lockmon_move_users")
"""


def test_killed_before_its_last_step_the_site_goes_on_at_the_old_place(old: Site) -> None:
    """All of it is in the file, under its own name; only the word is not written."""
    before = facts(old)
    assert old.run("shell", "-c", _KILLED).returncode == 9
    assert (old.word, (old.local / "web.sqlite3").exists()) == ("vault", True)
    assert facts(old) == before
    assert "is there already: move it away" in old.refuses("lockmon_move_users")
    (old.local / "web.sqlite3").unlink()
    old.does("lockmon_move_users")
    assert (old.word, facts(old)) == ("sqlite", before)


def test_a_second_one_beside_it_is_refused(old: Site) -> None:
    before = facts(old)
    first = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-v0", "-c", _HELD],
        cwd=ROOT,
        env=old.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout is not None and first.stdout.readline() == "HELD\n"
    assert "is at work in" in old.refuses("lockmon_move_users")
    said, _nothing = first.communicate("\n", timeout=60)
    assert first.returncode == 0 and f"{'people':<26}{2:>7}{2:>7}" in said
    assert (old.word, facts(old)) == ("sqlite", before)


def test_where_nobody_is_there_is_nothing_to_move(
    server: Server, template_vault: str, tmp_path: Path
) -> None:
    name = server.create_database(template=template_vault)
    try:
        one = site(server, name, tmp_path / "local")
        assert "no tables of this release" in one.refuses("lockmon_move_users")
        assert one.word is None
        nowhere = Site(f"postgresql://app:hush@127.0.0.1:{free_port()}/one_vault", tmp_path / "none")
        said = nowhere.refuses("lockmon_move_users")
        assert "The users' old place does not answer: " in said and "hush" not in said
        assert list(nowhere.local.iterdir()) == []
        one.does("migrate", "-v0")
        assert "Beside the vault are no users" in one.refuses("lockmon_move_users", "--back")
        assert one.word == "sqlite"
        embedded = one.refuses("lockmon_move_users", VAULT_DATABASE_URL="")
        assert "VAULT_DATABASE_URL is not set" in embedded
    finally:
        server.drop_database(name)
