"""One gap is inserted: every address, command, file and published function says so, or has a reason not to.

What is new and in no list fails: what does it say of time that nobody watched?
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import pkgutil
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import openpyxl
import psycopg
import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver

from lockmon import vault
from lockmon.alerts.evaluate import AlertEvaluator
from lockmon.calls import door
from lockmon.management import commands
from lockmon.report import making
from lockmon.report.render import FORMATS as REPORTS
from lockmon.views.export import FORMATS
from tests.app.test_rights_matrix import places
from tests.sql.test_policies import RULES
from tests.support import alerting
from tests.support.addresses import address, routes
from tests.support.hostile import NOW
from tests.support.people import browser
from tests.support.watching import watched_since

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])
__all__ = ["places"]

REASON = "held up by the test"
MINUTE = timedelta(minutes=1)
GAP = (NOW - 4.5 * MINUTE, NOW - 3 * MINUTE)
"""Within the stored episode, wait, event and analysis."""
BEFORE = NOW - 6 * MINUTE

NO_TIME = "it shows no time that has passed"
NOW_ONLY = "it shows this moment alone, as PostgreSQL tells it"
AS_MADE = "it is shown as it was made: what was known then is in its text"
A_MOMENT = "it speaks of one moment, at which somebody acted or something was seen"
SILENT_ADDRESSES = [
    (r"^$|^admin/(login|logout|password_change.*|autocomplete|jsi18n)/$", NO_TIME),
    (r"^(healthz|readyz)$", NOW_ONLY),
    (r"^api/tree$", NOW_ONLY),
    (r"^admin/monitor/claimed-deadlocks/$", "it lists what a log says, whoever watched"),
    (r"^admin/monitor/(overview/fragment|live|live/fragment|waiters|session)/$", NOW_ONLY),
    (r"^admin/monitor/everything/$", "it is a list of links"),
    (r"^admin/lockmon/.*/(add|copy|delete|rules|mode|switch|snooze|test)/$", NO_TIME),
    (r"^admin/lockmon/.*/(act/<str:action>|stop|import-log)/$", NO_TIME),
    (r"^admin/lockmon/policy/of/<str:name>/backtest/$", "it is posted to, and leads to the back-test's page"),
    (
        r"^admin/lockmon/.*/<path:object_id>/(history/)?$",
        "Django's own: who changed a row here, and a detour",
    ),
    (r"^admin/lockmon/\w+/<path:object_id>/change/$", AS_MADE),
    (r"^admin/lockmon/alert/<str:key>/history/$", "it has the versions of a rule, not what became of it"),
    (r"^admin/lockmon/actionlog/(outcome/|<int:number>/)$", A_MOMENT),
    (r"^admin/lockmon/(alert|alertmessage|policy)/export/", "no list of these is exported"),
    (r"^admin/lockmon/policy/$", "it has the rules and modes of policies; figures are on each one's page"),
    (r"^admin/lockmon/(alertmessage|pastreport)/$", AS_MADE),
    (r"^admin/lockmon/(monitorstate|apitoken)/", A_MOMENT),
    (r"^admin/(auth|django_q)/", "people, and the task queue's own records"),
]
"""Addresses that say nothing of time, and why. Who says something all the same is taken off this list."""
SAYING_ROWS = {
    f"admin/lockmon/{name}/<path:object_id>/change/"
    for name in ("lockactivity", "blockingsession", "lockwaitanalysis")
}
WITH_FIGURES: dict[str, list[str]] = {
    "lockmon_alerts": ["--all"],
    "lockmon_analyze": [],
    "lockmon_check": [],
    "lockmon_deadlocks": [],
    "lockmon_report": ["--period", "day"],
}
"""Commands that print figures of past time, with what they need for it."""
SILENT_COMMANDS = {
    "lockmon_adopt": NO_TIME,
    "lockmon_blocking": NOW_ONLY,
    "lockmon_capture": NOW_ONLY,
    "lockmon_cleanup": "it counts what it has deleted",
    "lockmon_cycle": NOW_ONLY,
    "lockmon_demo": NO_TIME,
    "lockmon_deploy": NO_TIME,
    "lockmon_first_user": NO_TIME,
    "lockmon_monitor": "it is the loop itself",
    "lockmon_move_users": NO_TIME,
    "lockmon_read_log": "it counts the records of a file",
    "lockmon_rescue": NOW_ONLY,
    "lockmon_resolve": NOW_ONLY,
    "lockmon_terminate": NOW_ONLY,
    "lockmon_token": NO_TIME,
    "lockmon_top": NOW_ONLY,
    "lockmon_uninstall": NO_TIME,
    "lockmon_unlock": "it lists failed logins, which nobody watches for",
    "migrate": NO_TIME,
}
SILENT_OBJECTS = {
    "lock_monitoring.auto_resolve_blocking": NOW_ONLY,
    "lock_monitoring.blocking_sessions_dashboard": NOW_ONLY,
    "lock_monitoring.capture_lock_activity": NOW_ONLY,
    "lock_monitoring.cleanup_old_data": "it counts what it has deleted",
    "lock_monitoring.deadlock_events_dashboard": A_MOMENT,
    "lock_monitoring.deadlock_history": A_MOMENT,
    "lock_monitoring.deadlock_ledger": "PostgreSQL counts, whoever watches; what was missed stands there",
    "lock_monitoring.detect_blocking_sessions": NOW_ONLY,
    "lock_monitoring.detect_deadlocks": NOW_ONLY,
    "lock_monitoring.lock_activity_dashboard": NOW_ONLY,
    "lock_monitoring.run_lock_monitoring": NOW_ONLY,
    "monitoring.alert_configuration_history": "it has the versions of a rule, not what became of it",
    "monitoring.alert_event_history": A_MOMENT,
    "monitoring.alert_event_list": A_MOMENT,
    "monitoring.alert_facts": "it counts what logs and counters hold, whoever watches",
    "monitoring.alert_message_list": A_MOMENT,
    "monitoring.alert_outbox": NOW_ONLY,
    "monitoring.alert_overview": "it counts events that were raised; the pages say what was not watched",
    "monitoring.convoy_forecast": NOW_ONLY,
}
SAYING_OBJECTS = {
    "lock_monitoring.analyze_lock_waits": "lock_monitoring.analyze_lock_waits(NULL, 1)",
    "lock_monitoring.deadlock_patterns": "lock_monitoring.deadlock_patterns",
    "lock_monitoring.lock_wait_analysis_dashboard": "lock_monitoring.lock_wait_analysis_dashboard",
}
"""What applications read, and how it is asked; lock_engine and lock_admin are the monitor's own. Views
are read, the silent ones too: one that begins to say it is taken off the list."""


def signs(kind: str, raw: bytes) -> list[str]:
    """What a text, page, file or answer says of watched time."""
    if raw[:2] == b"PK":
        sheet = openpyxl.load_workbook(io.BytesIO(raw)).worksheets[0]
        rows = [list(row) for row in sheet.iter_rows(values_only=True)]
        cells = [(str(n), v) for row in rows[1:] for n, v in zip(rows[0], row, strict=True)]
        return [f"{n}={v}" for n, v in cells if "watched" in n]
    text = raw.decode("utf-8-sig")
    if "csv" in kind:
        lines = csv.DictReader(io.StringIO(text))
        return [f"{n}={v}" for row in lines for n, v in row.items() if "watched" in n]
    if "json" in kind:
        return list(_facts(json.loads(text)))
    if "openmetrics" in kind:
        return re.findall(r"^lockmon_(?:watched|missing).*$", text, re.M)
    said = re.finditer(
        rf"[Nn]ot watched|obody watched|[Ww]atched:? \d|were watched|{REASON}|\d+ gaps? today", text
    )
    return [re.split(r"[\n<>]", text[one.start() : one.end() + 60])[0] for one in said]


def _facts(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _facts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _facts(inner, name)
    elif "watched" in f"{name} {value}" or "missing" in name or REASON in str(value):
        yield f"{name}={value}"


def fetched(client: Client, path: str) -> list[str]:
    cache.clear()
    answer = client.get(path)
    raw = answer.getvalue() if getattr(answer, "streaming", False) else answer.content
    answer.close()
    share = answer.headers.get("X-Lockmon-Watched-Share", "")
    return [share, *signs(str(answer.headers.get("Content-Type", "")), bytes(raw))]


@pytest.fixture
def everything(places: dict[str, str], vault_db: str) -> dict[str, str]:
    """One of everything, stored while somebody watched, from before the gap on."""
    watched_since(vault_db, timedelta(days=30))
    with psycopg.connect(vault_db, autocommit=True) as connection:
        alerting.alert(connection, "SELECT 5")
        evaluator = AlertEvaluator("vault")
        evaluator.run_once()
        evaluator.close()
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE monitoring.alert_event_s SET started_at = %s", [BEFORE])
        values = json.dumps([[(BEFORE + n * MINUTE).timestamp(), n] for n in range(6)])
        connection.execute("UPDATE monitoring.alert_state SET recent = %s", [values])
        row = connection.execute("SELECT alert_key, event_key FROM monitoring.alert_event_list").fetchone()
        assert row is not None
    with vault.admin_transaction("vault") as cursor:
        door.save_policy(cursor, "nobody", RULES, "test")
        number = door.backtest_policy(cursor, "nobody", NOW - timedelta(days=1), None, "test")
    report = making.make("vault", "day")
    return places | {
        "alert": str(row[0]),
        "alertevent": str(row[1]),
        "backtest": str(number),
        "pastreport": str(report.pk),
    }


def insert_gap(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason) VALUES (%s, %s, %s)",
            [*GAP, REASON],
        )


def check(before: dict[str, list[str]], after: dict[str, list[str]], silent: dict[str, str]) -> None:
    """Each place either says it, or has a reason not to; never both, never neither."""
    wrong = []
    for place, said in after.items():
        tells = said != before[place]
        if not tells and place not in silent:
            wrong.append(f"{place}: one gap was inserted, and nothing of it is said")
        elif tells and place in silent:
            wrong.append(f"{place}: says what was not watched, and is listed as one that does not")
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_every_address_says_what_was_not_watched(everything: dict[str, str], vault_db: str) -> None:
    client = browser("superuser")
    out = io.StringIO()
    call_command("lockmon_token", "superuser", "test", stdout=out)
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {out.getvalue().strip()}"
    at = quote((GAP[0] + MINUTE / 2).isoformat())
    paths = {f"/api/tree?at={at}": "api/tree/at", f"/admin/monitor/time/?at={at}": "admin/monitor/time/at"}
    for route in dict.fromkeys(routes(get_resolver())):
        path = address(route, everything).replace("/backtest/1/", f"/backtest/{everything['backtest']}/")
        forms = FORMATS if "<str:form>" in route else ("csv",)
        for form in forms:
            paths.setdefault(path.replace("/csv/", f"/{form}/"), route)
    silent: dict[str, str] = {}
    for path, route in paths.items():
        for pattern, reason in SILENT_ADDRESSES:
            if re.search(pattern, route) and route not in SAYING_ROWS:
                silent.setdefault(path, reason)
    before = {path: fetched(client, path) for path in paths}
    insert_gap(vault_db)
    check(before, {path: fetched(client, path) for path in paths}, silent)
    assert len(paths) - len(silent) > 30
    for pattern, _ in SILENT_ADDRESSES:
        assert any(re.search(pattern, one) for one in paths.values()), f"no address is like {pattern}"


def printed(command: str, *args: str) -> list[str]:
    out = io.StringIO()
    with contextlib.suppress(SystemExit):
        call_command(command, *args, stdout=out, stderr=io.StringIO())
    text = out.getvalue()
    return signs("json" if "--json" in args else "text", text.encode())


def test_every_command_says_what_was_not_watched(everything: dict[str, str], vault_db: str) -> None:
    known = {one.name for one in pkgutil.iter_modules(commands.__path__)}
    assert known == set(WITH_FIGURES) | set(SILENT_COMMANDS), "what does a new command say of time?"
    calls = {" ".join([name, *args]): [name, *args] for name, args in WITH_FIGURES.items()}
    calls |= {f"{text} --json": [*call, "--json"] for text, call in calls.items()}
    calls |= {f"lockmon_report --format {one}": ["lockmon_report", "--format", one] for one in REPORTS}
    before = {text: printed(*call) for text, call in calls.items()}
    insert_gap(vault_db)
    silent = {"lockmon_alerts --all --json": "events with their moments, and no sum of time"}
    check(before, {text: printed(*call) for text, call in calls.items()}, silent)


def test_what_applications_read_says_what_was_not_watched(everything: dict[str, str], vault_db: str) -> None:
    with psycopg.connect(vault_db, autocommit=True) as connection:
        found = connection.execute(
            "SELECT p.oid::regproc::text, false FROM pg_proc p"
            " WHERE p.pronamespace = 'lock_monitoring'::regnamespace"
            " UNION SELECT c.oid::regclass::text, true FROM pg_class c"
            " WHERE c.relnamespace IN ('lock_monitoring'::regnamespace, 'monitoring'::regnamespace)"
            " AND c.relkind = 'v'"
        ).fetchall()
        assert {name for name, _ in found} == set(SILENT_OBJECTS) | set(SAYING_OBJECTS)
        views = {name for name, is_view in found if is_view}

        def read() -> dict[str, list[str]]:
            said = {}
            for name in sorted(SILENT_OBJECTS.keys() & views | SAYING_OBJECTS.keys()):
                source = SAYING_OBJECTS.get(name, name)
                rows = connection.execute(f"SELECT row_to_json(x) FROM {source} x").fetchall()
                said[name] = [fact for (row,) in rows for fact in _facts(row)]
            return said

        before = read()
        insert_gap(vault_db)
        check(before, read(), SILENT_OBJECTS)
