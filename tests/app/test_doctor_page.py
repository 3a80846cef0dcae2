"""The page Check: the doctor's lines for whoever sees the monitor's pages, in words, whatever is wrong."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connections

from lockmon import doctor
from lockmon.schedules import ensure_schedules
from tests.support.people import browser, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

PATH = "/admin/monitor/check/"
LINE = re.compile(
    r'<li><span class="sev [^>]*><span aria-hidden="true">.</span> (\w+)</span> (.*?)</li>', re.S
)


def read(role: str = "viewer") -> str:
    answer = browser(role).get(PATH)
    assert answer.status_code == 200
    return answer.content.decode()


def lines(page: str) -> list[tuple[str, str]]:
    """The state's word and the text of each line, as a person reads them."""
    return [(mark, html.unescape(re.sub("<[^>]+>", "", text))) for mark, text in LINE.findall(page)]


@pytest.fixture
def place(vault_db: str) -> Iterator[dict[str, object]]:
    """Where the alias leads; as before at the end."""
    settings = connections["vault"].settings_dict
    before = dict(settings)
    connections["vault"].close()
    yield settings
    connections["vault"].close()
    settings.update(before)


def test_a_viewer_sees_each_line_of_the_doctor(vault_db: str) -> None:
    use_app_login()
    ensure_schedules()
    page = read()
    shown = lines(page)
    found = doctor.examine("vault")
    assert sorted((mark.lower(), text.split(":")[0]) for mark, text in shown) == sorted(
        (line.state, f"{line.section}, {line.name}".split(":")[0]) for line in found
    )
    ranks = [("FAILURE", "WARNING", "ok").index(mark) for mark, _ in shown]
    assert ranks == sorted(ranks)
    assert f"{len(found)} lines: " in page
    assert "<style" not in page and " style=" not in page and not re.search(r"<script(?![^>]*\bsrc=)", page)


def test_whoever_may_not_see_the_pages_does_not_see_this_one(vault_db: str) -> None:
    answer = browser("anonymous").get(PATH)
    assert answer.status_code == 302 and "/login/" in answer["Location"]
    assert browser("outsider").get(PATH).status_code == 403


def test_a_failure_carries_the_statement_that_mends_it(vault_db: str) -> None:
    use_app_login()
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("DROP INDEX lock_monitoring.idx_lock_activity_s_relation")
    failures = {text for mark, text in lines(read()) if mark == "FAILURE"}
    (index,) = [text for text in failures if "idx_lock_activity_s_relation" in text]
    assert "It is missing." in index
    assert "What mends it: " in index and "manage.py lockmon_deploy" in index
    (watching,) = [text for text in failures if text.startswith("heartbeat, watching")]
    assert "never started" in watching and "What mends it: manage.py lockmon_monitor" in watching


@pytest.mark.parametrize(
    ("role", "of", "mark"),
    [
        ("lock_door_owner", "pg_signal_backend", "FAILURE"),
        ("lock_log_reader", "pg_read_server_files", "WARNING"),
        ("lock_vault_owner", "pg_monitor", "FAILURE"),
        ("lock_alert_sandbox", "pg_read_all_stats", "FAILURE"),
    ],
)
def test_a_right_that_was_taken_away_is_named_with_its_grant(
    vault_db: str, role: str, of: str, mark: str
) -> None:
    """What docs/production.md says about managed services: each lack is a line, the page still comes."""
    use_app_login()
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute(f"REVOKE {of} FROM {role}")
        try:
            shown = [text for found, text in lines(read()) if found == mark]
        finally:
            connection.execute(f"GRANT {of} TO {role}")
    (named,) = [text for text in shown if text.startswith(f"role, {role}:")]
    assert f"GRANT {of} TO {role}" in named


def test_who_may_not_see_other_sessions_is_told_so(vault_db: str) -> None:
    use_app_login()
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("REVOKE pg_monitor FROM lock_monitoring_role")
        try:
            shown = lines(read())
        finally:
            connection.execute("GRANT pg_monitor TO lock_monitoring_role")
    (server,) = [text for mark, text in shown if mark == "FAILURE" and text.startswith("server, ")]
    assert "may not see other sessions (it is no member of pg_monitor)" in server


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"NAME": "no_such_database"}, "The vault cannot be reached: "),
        ({"PORT": "1", "HOST": "127.0.0.1"}, "nothing answers at the database's address"),
    ],
)
def test_a_vault_that_refuses_is_a_sentence(
    place: dict[str, object], wrong: dict[str, str], sentence: str
) -> None:
    place.update(wrong)
    page = read()
    (server,) = [text for mark, text in lines(page) if text.startswith("server, reachable")]
    assert sentence in server and "What mends it: Look at VAULT_DATABASE_URL" in server
    assert "Traceback" not in page and 'role="alert"' in page


def test_a_database_without_the_vault_is_a_sentence(place: dict[str, object]) -> None:
    place.update({"NAME": "postgres"})
    page = read()
    failures = [text for mark, text in lines(page) if mark == "FAILURE"]
    assert any("lockmon_deploy" in text for text in failures)
    assert "Traceback" not in page


def test_the_overview_and_everything_lead_here(vault_db: str) -> None:
    use_app_login()
    viewer = browser("viewer")
    for path in ("/admin/", "/admin/monitor/live/", "/admin/monitor/everything/"):
        assert f'href="{PATH}"' in viewer.get(path).content.decode(), path
