"""Everything of ours once, over a vault in which one session waits for another: whatever the site is like."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.utils import timezone
from django_q.models import Schedule
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lockmon import actions, doctor, install
from lockmon.alerts.evaluate import AlertEvaluator
from lockmon.schedules import ensure_schedules
from tests.conftest import OpenSession
from tests.support.inherited import steady
from tests.support.loops import rows, running_loop
from tests.support.people import browser
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.sessions import Session

PAGES = (
    "/admin/",
    "/admin/monitor/overview/fragment/",
    "/admin/monitor/live/fragment/",
    "/admin/monitor/waiters/",
    "/admin/monitor/time/",
    "/admin/monitor/insight/",
    "/admin/monitor/check/",
    "/admin/lockmon/lockactivity/",
    "/admin/lockmon/blockingsession/export/json/",
    "/admin/lockmon/policy/",
    "/admin/lockmon/alert/",
    "/admin/auth/user/",
    "/healthz",
    "/metrics",
)
COMMANDS = (
    ("lockmon_cycle", "--json"),
    ("lockmon_capture", "--json"),
    ("lockmon_blocking", "--json"),
    ("lockmon_deadlocks", "--json"),
    ("lockmon_analyze", "--json"),
    ("lockmon_check", "--json"),
)


class Product:
    """Everything of ours once over a vault in which one session waits for another."""

    def __init__(self, server: Server, dsn: str, session: OpenSession, client: Client | None = None) -> None:
        ensure_schedules()
        self._server, self._dsn = server, dsn
        # the questions of this class are no statements of ours
        given = steady(server, dsn)
        options = f"{conninfo_to_dict(given)['options']} -c search_path=pg_catalog"
        self._steady = make_conninfo(given, options=options)
        self._session = session
        self._key = 0
        self._browser = client or browser("superuser")
        self._sound = {finding.name for finding in self._failures()}

    @staticmethod
    def _failures() -> list[doctor.Finding]:
        return [finding for finding in doctor.examine("vault") if finding.state == doctor.FAILURE]

    def trouble(self) -> Iterator[str]:
        """What does not work now, a line for each."""
        connections.close_all()
        # no queue runs here, and a test that takes minutes would be told so
        Schedule.objects.update(next_run=timezone.now())
        self._key += 1
        holder = self._session(self._steady, autocommit=True)
        waiter = self._session(self._steady, autocommit=True)
        holder.run("SELECT pg_advisory_lock(4711, %s)", [self._key])
        waiter.start("SELECT pg_advisory_lock(4711, %s)", [self._key])
        poll(lambda: self._waits(waiter), what="the wait")
        for part in (self._loop, self._pages, self._commands, self._doctor, self._helpers, self._installer):
            try:
                yield from part(waiter)
            except Exception as error:
                yield f"{part.__name__}: {type(error).__name__}: {error}"
        waiter.close()
        holder.close()

    def _waits(self, waiter: Session) -> bool:
        question = f"SELECT 1 FROM pg_locks WHERE pid = {waiter.pid} AND NOT granted"
        return bool(rows(self._steady, question))

    def _loop(self, waiter: Session) -> Iterator[str]:
        with running_loop() as loop:
            question = (
                "SELECT 1 FROM lock_monitoring.lock_activity_s"
                f" WHERE lock_pid = {waiter.pid} AND NOT lock_granted AND load_end_date IS NULL"
            )
            try:
                poll(lambda: rows(self._steady, question) or loop.error, 60, "the wait in the vault")
            except AssertionError as error:
                state = rows(self._steady, "SELECT * FROM lock_engine.monitor_status")
                yield f"loop: {error}; {state}"
            if loop.error is not None:
                yield f"loop: {loop.error!r}"

    def _pages(self, waiter: Session) -> Iterator[str]:
        for path in PAGES:
            answer = self._browser.get(path)
            content = answer.getvalue().decode()
            answer.close()
            if answer.status_code != 200 or "cannot be read" in content:
                yield f"{path}: {answer.status_code}"
            elif "waiters" in path and str(waiter.pid) not in content:
                yield f"{path}: the waiter is not there"

    def _commands(self, _waiter: Session) -> Iterator[str]:
        for name, *arguments in COMMANDS:
            out = io.StringIO()
            try:
                call_command(name, *arguments, stdout=out)
            except SystemExit:
                pass  # it says with its exit code what it has found
            except Exception as error:
                yield f"{name}: {type(error).__name__}: {error}"
                continue
            json.loads(out.getvalue())

    def _doctor(self, _waiter: Session) -> Iterator[str]:
        for finding in self._failures():
            if finding.name not in self._sound:
                yield f"doctor: {finding.section} {finding.name}: {finding.meaning}"

    def _helpers(self, _waiter: Session) -> Iterator[str]:
        evaluator = AlertEvaluator("vault")
        try:
            evaluator.run_once()
        finally:
            evaluator.close()
        for row in rows(self._steady, "SELECT alert_name, sentence FROM monitoring.alert_overview"):
            # a query that PostgreSQL refuses to a reader is refused whatever the settings
            if row["sentence"] and "permission denied" not in str(row["sentence"]):
                yield f"alert: {row}"
        # in a thread of their own, as the loop runs them: a thread keeps its connection to the vault it met
        with ThreadPoolExecutor(1) as runner:
            runner.submit(actions.run_policies, "vault").result()
            runner.submit(actions.close_kept).result()
            runner.submit(connections.close_all).result()

    def _installer(self, _waiter: Session) -> Iterator[str]:
        with install.connect(self._dsn) as connection:
            install.install_on(connection, again=True)
            missing = [check.name for check in install.verify(connection) if not check.passed]
        if missing:
            yield f"installer: {missing}"
