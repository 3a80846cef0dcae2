"""What was not watched is said, and nothing is claimed of it: pages, files, reports, the API, metrics."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import connections
from django.test import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from lockmon.alerts import events, lifecycle, messages, pictures
from lockmon.models.alerts import Alert
from lockmon.views import figures, svg
from tests.support import scenes
from tests.support.people import browser, use_app_login
from tests.support.sessions import Session
from tests.support.watching import gap, watched_since

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

OpenSession = Callable[..., Session]
REASON = "held up by the test"
HOUR = timedelta(hours=1)


@pytest.fixture
def waiting(vault_db: str, session: OpenSession) -> tuple[Session, Session]:
    """A root and a waiter, as if the wait had begun five hours ago, in a vault watched for 30 days."""
    use_app_login()
    scenes.make_tables(vault_db)
    root, queue = scenes.row_queue(vault_db, session, 1)
    scenes.cycle(vault_db)
    watched_since(vault_db, timedelta(days=30))
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE lock_monitoring.blocking_session_s SET"
            " blocking_since = blocking_since - interval '5 hours',"
            " transaction_start = transaction_start - interval '5 hours'"
        )
        for table in ("lock_activity_s", "blocking_session_s"):
            connection.execute(
                f"UPDATE lock_monitoring.{table} SET load_date = load_date - interval '5 hours',"
                " wait_start = wait_start - interval '5 hours'"
            )
    return root, queue[0]


def moment(ago: timedelta) -> str:
    return (datetime.now(UTC) - ago).isoformat().replace("+00:00", "Z")


def get(client: Client, path: str) -> str:
    cache.clear()
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    raw = answer.getvalue() if getattr(answer, "streaming", False) else answer.content
    return str(raw.decode("utf-8"))


def api(path: str) -> Any:
    from django.contrib.auth.models import User

    out = io.StringIO()
    if not User.objects.filter(username="machine").exists():
        User.objects.create_superuser("machine")
    call_command("lockmon_token", "machine", path[:30], stdout=out)
    answer = Client().get(path, headers={"Authorization": f"Bearer {out.getvalue().strip()}"})
    assert answer.status_code == 200, answer.content
    return answer.json()


def _families(text: str) -> Any:
    return text_string_to_metric_families(text)  # type: ignore[no-untyped-call]


def metrics() -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for family in _families(Client().get("/metrics").content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.value)
    return found


PAST = [
    "/admin/",
    "/admin/monitor/time/",
    "/admin/monitor/insight/",
    "/admin/lockmon/lockactivity/",
    "/admin/lockmon/blockingsession/",
    "/admin/lockmon/deadlockevent/",
    "/admin/lockmon/actionlog/",
    "/admin/lockmon/alertevent/",
]


def episode(vault_db: str) -> str:
    """The address of the one episode that there is."""
    with psycopg.connect(vault_db) as connection:
        row = connection.execute(
            "SELECT encode(blocking_session_hk, 'hex') FROM lock_monitoring.blocking_session_s LIMIT 1"
        ).fetchone()
    assert row is not None
    return f"/admin/monitor/episode/{row[0]}/"


def test_one_gap_is_mentioned_wherever_the_past_is_shown(
    vault_db: str, waiting: tuple[Session, Session]
) -> None:
    client = browser("superuser")
    pages = [*PAST, episode(vault_db), f"/admin/monitor/time/?at={moment(2.5 * HOUR)}"]
    files = [f"/admin/lockmon/lockactivity/export/{form}/?versions=all" for form in ("csv", "json")]
    for path in pages:
        assert "ot watched" not in get(client, path), f"{path}: all of it was watched"
    before = {path: get(client, path) for path in files}
    assert metrics()["lockmon_watched_share_24h"] == [1.0]
    gap(vault_db, 3 * HOUR, HOUR, REASON)
    for path in pages:
        page = get(client, path)
        assert "ot watched" in page and REASON in page, path
    for path in files:
        after = get(client, path)
        assert "not_watched_seconds" in after and "period_watched_share" in after, path
        assert after != before[path]
    (line, *_) = json.loads(get(client, files[1]))
    assert line["period_watched_share"] == pytest.approx(23 / 24, abs=0.001)
    lasted = [one["not_watched_seconds"] for one in json.loads(get(client, files[1]))]
    assert max(lasted) == pytest.approx(3600, abs=1), "the wait lasted through the whole gap"
    seen = metrics()
    assert seen["lockmon_watched_share_24h"] == [pytest.approx(23 / 24, abs=0.001)]
    assert seen["lockmon_missing_seconds_24h"] == [pytest.approx(3600, abs=1)]
    for path in ("/api/episodes", "/api/deadlocks"):
        said = api(path)
        assert said["watched"] is False and said["not_watched"][0]["reason"] == REASON, path
    for form in ("markdown", "html", "json"):
        out = io.StringIO()
        call_command("lockmon_report", "--period", "day", "--format", form, stdout=out)
        assert REASON in out.getvalue(), form
    assert "95.8 %" in out.getvalue() or '"watched_share": 0.958' in out.getvalue()


def test_within_a_gap_there_is_no_tree_and_what_lasted_is_named(
    vault_db: str, waiting: tuple[Session, Session]
) -> None:
    root, waiter = waiting
    gap(vault_db, 3 * HOUR, HOUR, REASON)
    client = browser("dba")
    inside = moment(2.5 * HOUR)
    page = get(client, f"/admin/monitor/time/?at={inside}")
    assert "Not watched: there is no tree of this moment" in page
    assert 'id="roots"' not in page and "Nobody was waiting" not in page
    assert "Proven by PostgreSQL, not watched: 1 wait lasted through this time" in page
    assert f">{waiter.pid}</a>" in page
    said = api(f"/api/tree?at={inside}")
    assert (said["watched"], said["nodes"], said["reason"]) == (False, [], REASON)
    assert [one["pid"] for one in said["lasted_through"]] == [waiter.pid]
    outside = api(f"/api/tree?at={moment(1.5 * HOUR)}")
    assert outside["watched"] is True
    assert {one["pid"] for one in outside["nodes"]} == {root.pid, waiter.pid}
    compared = get(client, f"/admin/monitor/time/?at={moment(HOUR)}&compare={inside}")
    assert "Not compared: nobody watched at one of the two moments" in compared


@pytest.mark.parametrize("at", ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
def test_a_moment_before_the_first_look_or_to_come_is_not_watched(
    vault_db: str, waiting: tuple[Session, Session], at: str
) -> None:
    said = api(f"/api/tree?at={at}")
    assert (said["watched"], said["nodes"]) == (False, [])
    assert api("/api/tree")["watched"] is True


def test_the_picture_cuts_the_gap_out_and_ends_now(vault_db: str, waiting: tuple[Session, Session]) -> None:
    gap(vault_db, 3 * HOUR, HOUR, REASON)
    cache.clear()
    now = datetime.now(UTC)
    since, until = now - 6 * HOUR, now + 6 * HOUR
    for draw, slots in ((figures.waiting_picture, 144), (figures.hourly_picture, 12)):
        drawn = draw(since, until, slots)
        assert all(slot.start < now + timedelta(seconds=5) for slot in drawn.slots)
        blind = [slot for slot in drawn.slots if slot.watched == 0]
        assert all(slot.waiting == 0 and slot.blocked < 1 for slot in blind)
        if draw is figures.waiting_picture:
            assert len(blind) in (11, 12), "twelve slots of five minutes"
            assert all(slot.proven == pytest.approx(1, abs=0.01) for slot in blind)
            total = sum(slot.blocked for slot in drawn.slots)
            assert total == pytest.approx(4 * 3600, abs=30), "five hours, one of them not watched"
            assert max(slot.waiting for slot in drawn.slots) == pytest.approx(1, abs=0.01)
            area = svg.area(drawn.slots, (), since, until, watched=drawn.watched)
            assert len(area.gaps) == 1 and REASON in area.gaps[0].title
            assert area.proven and "Watched: 83.3 %" in area.summary
            right = max(float(x) for x in re.findall(r"[ML](\d+\.\d),", area.path))
            assert right < 525, "nothing after now, which is in the middle"
            assert area.path.count("M") == 2, "before the gap and after it: no line at zero between them"
            within = area.gaps[0].x + area.gaps[0].width / 2
            edges = [float(x) for x in re.findall(r"[ML](\d+\.\d),", area.path)]
            assert not [x for x in edges if abs(x - within) < area.gaps[0].width / 2 - 7], "nothing in it"


def test_installed_a_minute_ago(vault_db: str) -> None:
    use_app_login()
    client = browser("dba")
    page = get(client, "/admin/")
    assert "no gap today" not in page
    scenes.cycle(vault_db)
    watched_since(vault_db, timedelta(minutes=1))
    page = get(client, "/admin/")
    assert "no gap today" not in page
    assert "before the first look" in page and "hatched: not watched" in page
    cache.clear()
    since, until, drawn = figures.recent_picture(24)
    area = svg.area(drawn.slots, (), since, until, watched=drawn.watched)
    assert area.gaps[0].width > 940, "the whole day but a minute is hatched"
    for path in ("/admin/monitor/insight/", "/admin/lockmon/lockactivity/"):
        assert "before the first look" in get(client, path)
    out = io.StringIO()
    call_command("lockmon_report", stdout=out)
    assert "The week before" not in out.getvalue() and "0 waits" not in out.getvalue()
    assert "Not compared:" in out.getvalue() and "compare.min_watched_share" in out.getvalue()


def test_a_vault_that_nobody_ever_watched_claims_nothing(vault_db: str) -> None:
    use_app_login()
    out = io.StringIO()
    call_command("lockmon_report", stdout=out)
    assert "Nothing of this period was watched" in out.getvalue()
    assert "Nobody waited" not in out.getvalue() and "Nothing needs doing" not in out.getvalue()
    seen = metrics()
    assert seen["lockmon_watched"] == [0.0]
    for name in ("lockmon_waiting_sessions", "lockmon_root_blockers", "lockmon_blocked_seconds"):
        assert name not in seen, f"{name} is unknown, not 0"


def test_a_loop_that_has_died_leaves_no_figure_of_now(
    vault_db: str, waiting: tuple[Session, Session]
) -> None:
    assert metrics()["lockmon_waiting_sessions"] == [1.0]
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute(
            "UPDATE lock_engine.watch_state SET last_look_at = last_look_at - interval '1 hour'"
        )
    seen = metrics()
    assert seen["lockmon_watched"] == [0.0] and "lockmon_waiting_sessions" not in seen
    said = api(f"/api/tree?at={moment(HOUR / 2)}")
    assert (said["watched"], said["reason"], said["lasted_through"]) == (False, "nobody has looked since", [])


def test_an_episode_says_how_much_of_the_time_lost_was_not_watched(
    vault_db: str, waiting: tuple[Session, Session]
) -> None:
    client = browser("dba")
    path = episode(vault_db)
    assert "<b>Blocked: 5 h" in get(client, path) and "of that" not in get(client, path)
    gap(vault_db, 3 * HOUR, HOUR, REASON)
    assert "in total</b>, of that 1 h 0 min not watched," in get(client, path)


def test_a_report_claims_nothing_of_a_time_that_nobody_watched(
    vault_db: str, waiting: tuple[Session, Session]
) -> None:
    def report(form: str) -> str:
        out = io.StringIO()
        call_command("lockmon_report", "--format", form, stdout=out)
        return out.getvalue()

    assert json.loads(report("json"))["before"]["waits"] == 0, "watched, and nobody waited"
    assert "hatched" not in report("html")
    watched_since(vault_db, timedelta(days=3))
    found = json.loads(report("json"))
    assert set(found["before"].values()) == {None} and found["totals"]["waits"] == 1
    page = report("html")
    assert page.count(": not watched</title></rect><rect") == 4
    assert page.count('class="not-watched"') == 5, "four days that nobody watched, and part of the fifth"
    assert "hatched: not watched" in page


def test_a_chart_of_an_alert_has_no_line_over_a_gap(vault_db: str, waiting: tuple[Session, Session]) -> None:
    now = datetime.now(UTC)
    alert = Alert(recent=[[(now - n * HOUR).timestamp(), n] for n in range(5, 0, -1)])
    whole = pictures.sparkline(alert, pictures.watched_of([alert]))
    assert whole.count("M") == 1 and "not watched" not in whole
    gap(vault_db, 3.5 * HOUR, HOUR / 4, REASON)
    cut = pictures.sparkline(alert, pictures.watched_of([alert]))
    assert cut.count("M") == 2 and "from 1 to 5, 15 min 00 s of it not watched" in cut


def test_a_message_says_how_much_of_the_events_time_was_not_watched(
    vault_db: str, waiting: tuple[Session, Session]
) -> None:
    now = datetime.now(UTC)
    alert = SimpleNamespace(started_at=now - 5 * HOUR)
    told: dict[str, Any] = {"name": "x", "since": (now - 5 * HOUR).isoformat(), "at": now.isoformat()}
    with connections["vault"].cursor() as cursor:
        assert events.not_watched(cursor, alert, lifecycle.NOTHING, now) == {}  # type: ignore[arg-type]
        gap(vault_db, 3 * HOUR, HOUR, REASON)
        told |= events.not_watched(cursor, alert, lifecycle.NOTHING, now)  # type: ignore[arg-type]
    message = messages.write("resolved", told | {"lasted": "5 h"}, "vault")
    for text in (message.text, message.html):
        assert (
            "It lasted 5 h" in text and "Watched: 4 h 0 min of 5 h 0 min (80.0 %)" in text and REASON in text
        )


def test_periods_are_compared_by_the_watched_hour(vault_db: str, waiting: tuple[Session, Session]) -> None:
    gap(vault_db, 20 * HOUR, HOUR, REASON)
    out = io.StringIO()
    call_command("lockmon_report", "--period", "day", stdout=out)
    assert "Per watched hour" in out.getvalue() and "watched were 95.8 % and 100 %" in out.getvalue()
    gap(vault_db, 18 * HOUR, 6 * HOUR, REASON)
    out = io.StringIO()
    call_command("lockmon_report", "--period", "day", stdout=out)
    assert "Per watched hour" not in out.getvalue()
    assert "Not compared: only 70.8 %" in out.getvalue()
