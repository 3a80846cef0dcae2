"""The web database as a file: everything that writes it at once, and every page that reads it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockmon import doctor
from tests.support.loops import ROOT, until_watching
from tests.support.servers import Server
from tests.support.web_load import Done, measure
from tests.support.web_places import Site, site

pytestmark = pytest.mark.slow


@pytest.fixture
def one(server: Server, template_vault: str, tmp_path: Path) -> Iterator[Site]:
    """A site whose users are in a file."""
    name = server.create_database(template=template_vault)
    made = site(server, name, tmp_path / "local")
    made.does("migrate", "-v0")
    yield made
    server.drop_database(name)


def judge(done: Done, tasks: int, schedules: int) -> None:
    """All done, none twice, no page refused, and no log that speaks of a lock."""
    wanted = {str(number): 1 for number in range(tasks)} | {f"s{number}": 1 for number in range(schedules)}
    assert dict(done.ran) == wanted
    assert done.trouble == []
    assert done.bad_pages == []
    assert done.logins >= 2


def test_two_web_workers_the_loop_and_two_queues_beside_each_other(one: Site, tmp_path: Path) -> None:
    judge(measure(one, tmp_path / "load", 200, 10, 240), 200, 10)


@pytest.mark.long
def test_ten_thousand_tasks_beside_people_loop_and_schedules(one: Site, tmp_path: Path) -> None:
    judge(measure(one, tmp_path / "load", 10_000, 100, 3600), 10_000, 100)


def test_the_loop_watches_without_the_web_database(server: Server, one: Site) -> None:
    dsn = server.dsn(one.vault.rsplit("/", 1)[1])
    (one.local / "web.sqlite3").rename(one.local / "aside")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "lockmon_monitor", "--no-helpers"],
        cwd=ROOT,
        env=one.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until_watching(dsn, 60)
    finally:
        process.terminate()
        _out, said = process.communicate(timeout=60)
    assert "cannot be written to Django's database: The web database" in said
    assert not (one.local / "web.sqlite3").exists()


_SCHEDULER = """
import sys, django; django.setup()
from django_q.scheduler import scheduler
print("ready", flush=True)
sys.stdin.readline()
scheduler()
"""
_DUE = """
from datetime import timedelta
from django.utils import timezone
from django_q.models import Schedule
Schedule.objects.all().delete()
for n in range(50):
    Schedule.objects.create(name=str(n), func="builtins.abs", args="(1,)", minutes=60,
                            schedule_type=Schedule.MINUTES, next_run=timezone.now() - timedelta(seconds=n))
"""


def test_schedulers_that_look_in_the_same_moment_run_nothing_twice(one: Site) -> None:
    one.does("shell", "-c", _DUE)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _SCHEDULER],
            cwd=ROOT,
            env=one.environment(DJANGO_SETTINGS_MODULE="onevault.settings"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _out, said = process.communicate(timeout=60)
        assert "Could not" not in said and "locked" not in said, said
    assert one.in_sqlite("SELECT count(*), count(DISTINCT id) FROM django_q_ormq") == [(50, 50)]
    assert one.in_sqlite("SELECT count(*) FROM django_q_schedule WHERE next_run > datetime('now')") == [(50,)]


_PAGES = """
import sys
from django.apps import apps
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
c = Client(headers={"host": "127.0.0.1"})
c.force_login(User.objects.get(username="dba"))
User.objects.bulk_create(User(username=f"u{n}") for n in range(120))
found = []
def ask(path):
    answer = c.get(path, follow=True)
    b"".join(answer) if answer.streaming else answer.content
    found.append((answer.status_code, path))
for model in apps.get_models():
    if not site.is_registered(model) or not model._meta.managed:
        continue
    base = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    for query in ("", "?q=a", "?q=%25_%27%22%00", "?q=" + "x" * 3000, "?q=" + "a+" * 900,
                  "?o=-1.2&p=1", "?e=1", "?id__exact=99999999999999999999",
                  "?id__in=" + ",".join(map(str, range(700)))):
        ask(base + query)
    for key in ("1", "99999999999999999999", "x"):
        ask(f"{base}{key}/change/")
        ask(f"{base}{key}/history/")
for path in ("/admin/", "/admin/monitor/check/", "/admin/auth/user/add/", "/healthz", "/metrics",
             "/api/tree"):
    ask(path)
print("ASKED", len(found))
print("BAD", [one for one in found if one[0] >= 500])
"""


def test_every_page_of_the_web_database_answers(one: Site) -> None:
    one.add_person("dba")
    said = one.does("shell", "-v0", "-c", _PAGES)
    (asked,) = [int(line.split()[1]) for line in said.splitlines() if line.startswith("ASKED")]
    assert asked > 60
    assert "BAD []" in said, said


def test_the_doctor_says_where_users_live(one: Site) -> None:
    said = one.run("lockmon_check").stdout
    (line,) = [line for line in said.splitlines() if "web database" in line]
    assert "web.sqlite3 in ONEVAULT_LOCAL, for this host alone" in line
    assert "search path of 'default'" not in said and "could not be asked" not in said


def test_each_place_has_a_line_of_its_own() -> None:
    from lockmon.doctor_web import place_of_users

    beside = place_of_users("vault", "vault")
    assert (beside.state, beside.remedy.split(" moves")[0]) == (
        doctor.WARNING,
        "manage.py lockmon_move_users",
    )
    assert "nobody can log in" in beside.meaning
    assert "away while that is down" in place_of_users("url", "vault").meaning
