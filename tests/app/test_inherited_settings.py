"""Loop, pages, commands, doctor, alerts and installer where the role or the database has settings of its own.

The settings are the server's own list (tests/support/inherited.py). Here a group of them, each at an extreme;
``make test-long`` tries the other groups, and each value by itself.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections

from lockmon import actions, doctor, install
from lockmon import session as sessions
from lockmon.alerts import delivery
from lockmon.alerts.evaluate import AlertEvaluator
from lockmon.schedules import ensure_schedules
from tests.conftest import OpenSession
from tests.support.inherited import Default, defaults, extremes, steady
from tests.support.loops import rows, running_loop
from tests.support.people import browser
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.sessions import Session
from tests.support.vaults import APP_LOGIN

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

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
# A setting of a superuser's that blinds: PostgreSQL then tells nobody what a session does.
BLINDING = {("track_activities", "off")}


def database(alias: str) -> str:
    return str(connections[alias].settings_dict["NAME"])


class Product:
    """Everything of ours once over a vault in which one session waits for another."""

    def __init__(self, server: Server, dsn: str, session: OpenSession) -> None:
        ensure_schedules()
        self._server, self._dsn = server, dsn
        self._steady = steady(server, dsn)
        self._session = session
        self._key = 0
        self._browser = browser("superuser")
        self._sound = {finding.name for finding in self._failures()}

    @staticmethod
    def _failures() -> list[doctor.Finding]:
        return [finding for finding in doctor.examine("vault") if finding.state == doctor.FAILURE]

    def trouble(self) -> Iterator[str]:
        """What does not work now, a line for each."""
        connections.close_all()
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
            runner.submit(connections.close_all).result()

    def _installer(self, _waiter: Session) -> Iterator[str]:
        with install.connect(self._dsn) as connection:
            install.install_on(connection, again=True)
            missing = [check.name for check in install.verify(connection) if not check.passed]
        if missing:
            yield f"installer: {missing}"


@pytest.fixture
def product(
    server: Server, vault_db: str, session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Product]:
    monkeypatch.setattr(delivery, "request_sending", lambda alias, tasks=1: None)
    yield Product(server, vault_db, session)
    connections.close_all()


def listed(server: Server, *contexts: str) -> dict[str, list[str]]:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        return extremes(connection, contexts)


@pytest.mark.parametrize(
    "place", [0, pytest.param(1, marks=pytest.mark.long), pytest.param(-1, marks=pytest.mark.long)]
)
def test_everything_works_under_a_databases_settings(server: Server, product: Product, place: int) -> None:
    settings = [(name, values[place % len(values)]) for name, values in listed(server, "user").items()]
    with defaults(server, [database("vault"), database("default")], settings) as taken:
        assert len(taken) > 90
        assert list(product.trouble()) == []


@pytest.mark.long
def test_everything_works_under_a_logins_settings(server: Server, product: Product) -> None:
    settings = [(name, values[-1]) for name, values in listed(server, "user").items()]
    with defaults(server, [database("vault")], [*settings, ("role", "none")], APP_LOGIN) as taken:
        assert "role" in taken
        assert list(product.trouble()) == []


@pytest.mark.long
def test_everything_works_under_each_setting(server: Server, product: Product) -> None:
    """Hours on a slow machine: each value of each setting by itself."""
    wrong: dict[Default, list[str]] = {}
    for name, values in listed(server, "user", "superuser").items():
        for value in values:
            if (name, value) in BLINDING:
                continue
            with defaults(server, [database("vault"), database("default")], [(name, value)]):
                if trouble := list(product.trouble()):
                    wrong[name, value] = trouble
                connections.close_all()
    assert wrong == {}


def test_no_setting_that_a_role_may_set_is_forgotten(server: Server) -> None:
    """A setting is ours, or it is known to change nothing that we say."""
    ours = {name.lower() for name in sessions.Session.of().settings} | {"local_preload_libraries"}
    unknown = {name.lower() for name in listed(server, "user")} - ours - LEFT_TO_THE_SITE
    assert unknown == set()


# Memory, cost and progress, what is logged, what only maintenance or replication does: time, never a result.
LEFT_TO_THE_SITE = {
    "application_name",  # said in the connection's own parameter
    "backend_flush_after",
    "commit_siblings",
    "cpu_index_tuple_cost",
    "cpu_operator_cost",
    "cpu_tuple_cost",
    "debug_logical_replication_streaming",
    "debug_pretty_print",
    "default_statistics_target",
    "default_text_search_config",
    "default_toast_compression",
    "effective_cache_size",
    "effective_io_concurrency",
    "enable_partitionwise_aggregate",
    "enable_partitionwise_join",
    "file_copy_method",
    "geqo_effort",
    "geqo_generations",
    "geqo_pool_size",
    "geqo_seed",
    "geqo_selection_bias",
    "geqo_threshold",
    "gin_pending_list_limit",
    "hash_mem_multiplier",
    "io_combine_limit",
    "jit_above_cost",
    "jit_expressions",
    "jit_inline_above_cost",
    "jit_optimize_above_cost",
    "jit_tuple_deforming",
    "log_parameter_max_length_on_error",
    "logical_decoding_work_mem",
    "maintenance_io_concurrency",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "max_parallel_workers",
    "md5_password_warnings",
    "min_parallel_index_scan_size",
    "min_parallel_table_scan_size",
    "parallel_leader_participation",
    "parallel_setup_cost",
    "parallel_tuple_cost",
    "random_page_cost",
    "recursive_worktable_factor",
    "scram_iterations",
    "seq_page_cost",
    "synchronize_seqscans",
    "synchronous_commit",  # the loop's own is off
    "vacuum_buffer_usage_limit",
    "vacuum_cost_delay",
    "vacuum_cost_limit",
    "vacuum_cost_page_dirty",
    "vacuum_cost_page_hit",
    "vacuum_cost_page_miss",
    "vacuum_failsafe_age",
    "vacuum_freeze_min_age",
    "vacuum_freeze_table_age",
    "vacuum_max_eager_freeze_failure_rate",
    "vacuum_multixact_failsafe_age",
    "vacuum_multixact_freeze_min_age",
    "vacuum_multixact_freeze_table_age",
    "vacuum_truncate",
    "wal_sender_timeout",
    "wal_skip_threshold",
    "work_mem",
}
