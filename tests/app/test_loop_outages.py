"""The loop while PostgreSQL restarts, refuses connections, or is not what it should be: on a server of its
own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from lockmon import doctor
from lockmon.calls.coverage import ServerFacts
from lockmon.models import MonitorState
from lockmon.monitor import watchdog
from lockmon.monitor.connection import (
    CannotWatchError,
    describe_failure,
    open_connection,
    refuse_unfit,
)
from lockmon.monitor.options import LoopOptions
from tests.conftest import OpenSession
from tests.support import vaults
from tests.support.loops import rows, running_loop, status
from tests.support.memory import Memories
from tests.support.people import browser
from tests.support.poll import poll
from tests.support.pooler import pooler
from tests.support.servers import Server, throwaway

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

QUICK = LoopOptions(tick=0.2, full_interval=0.6, standby_poll=0.1, backoff_longest=0.5)
FACTS = ServerFacts(
    version_num=150004,
    backend_pid=77,
    in_recovery=False,
    now=datetime.now(UTC),
    database="one_vault",
    login="onevault_app",
    vault_installed=True,
    reads_activity=True,
    started=datetime.now(UTC),
)


@pytest.fixture(scope="module")
def small_server() -> Iterator[Server]:
    """A server that can be restarted and filled up without disturbing other tests."""
    with throwaway({"max_connections": "12", "superuser_reserved_connections": "3"}) as running:
        yield running


@pytest.fixture
def small_vault(small_server: Server) -> Iterator[str]:
    """A vault on that server, which the alias ``vault`` leads to."""
    name = small_server.create_database()
    vaults.install(small_server.dsn(name))
    with psycopg.connect(small_server.dsn(name), autocommit=True) as connection:
        connection.execute(
            "DO $$ BEGIN CREATE ROLE watcher LOGIN IN ROLE lock_monitoring_role;"
            " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        connection.execute("INSERT INTO lock_admin.application_login (login) VALUES ('watcher')")
    place = connections["vault"].settings_dict
    before = {key: place[key] for key in ("HOST", "PORT", "USER", "PASSWORD", "NAME")}
    vaults.point_alias("vault", small_server, name)
    place["USER"] = "watcher"
    yield small_server.dsn(name)
    connections["vault"].close()
    place.update(before)


def watching(dsn: str) -> bool:
    try:
        return status(dsn).state == "watching"
    except psycopg.OperationalError:
        return False


def test_a_restart_is_outlived_and_its_gap_recorded(small_server: Server, small_vault: str) -> None:
    with running_loop(QUICK):
        poll(lambda: watching(small_vault), what="a watching loop")
        small_server.restart()
        poll(lambda: watching(small_vault), 15, "watching again after the restart")
        poll(lambda: rows(small_vault, "SELECT 1 FROM lock_engine.coverage_gap"), 5, "the gap")
    reasons = {row["reason"] for row in rows(small_vault, "SELECT reason FROM lock_engine.coverage_gap")}
    assert any(
        part in str(reason)
        for reason in reasons
        for part in (
            "ended by an administrator",
            "starting up",
            "connection refused",
            "closed the connection",
        )
    ), reasons


def test_what_was_kept_is_lost_with_the_server_and_a_gap(
    small_server: Server, small_vault: str, session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    memories = Memories(monkeypatch)
    with running_loop(QUICK):
        poll(lambda: watching(small_vault), what="a watching loop")
        holder, waiter = session(small_vault), session(small_vault)
        holder.run("SELECT pg_advisory_xact_lock(95, 1)")
        waiter.start("SELECT pg_advisory_xact_lock(95, 1)")
        open_wait = (
            "SELECT 1 FROM lock_monitoring.lock_activity_s WHERE load_end_date IS NULL AND NOT lock_granted"
        )
        poll(lambda: rows(small_vault, open_wait), 10, "the wait in the vault")
        culprit = session(small_vault)
        culprit.run("LOCK TABLE lock_monitoring.lock_activity_s IN ACCESS EXCLUSIVE MODE")
        inside, behind = session(small_vault), session(small_vault)
        inside.run("SELECT pg_advisory_xact_lock(95, 2)")
        behind.start("SELECT pg_advisory_xact_lock(95, 2)")
        kept = memories.until_waiting(behind.pid)
        small_server.restart()
        poll(lambda: watching(small_vault), 15, "watching again after the restart")
        # others are true where the machine has no time for the loop
        over = (
            "SELECT gap_start, gap_end FROM lock_engine.coverage_gap"
            f" WHERE '{kept.at.isoformat()}' BETWEEN gap_start AND gap_end"
        )
        poll(lambda: rows(small_vault, over), 15, "the gap")
        poll(lambda: not rows(small_vault, open_wait), 10, "the end of what the dead server knew")
        (gap,) = rows(small_vault, over)
        assert isinstance(gap["gap_start"], datetime) and isinstance(gap["gap_end"], datetime)
        ends = rows(
            small_vault,
            "SELECT resolution_action, load_end_date FROM lock_monitoring.lock_activity_s"
            f" WHERE lock_pid = {waiter.pid} AND NOT lock_granted ORDER BY load_date DESC LIMIT 1",
        )
        assert [end["resolution_action"] for end in ends] == ["server restarted"]
        dead = f"lock_pid IN ({inside.pid}, {behind.pid}) AND load_date < '{gap['gap_end'].isoformat()}'"
        assert rows(small_vault, f"SELECT 1 FROM lock_monitoring.lock_activity_s WHERE {dead}") == []


def test_too_many_clients_is_said_where_the_web_can_see_it(small_server: Server, small_vault: str) -> None:
    with running_loop(QUICK):
        poll(lambda: watching(small_vault), what="a watching loop")
        leader = status(small_vault).leader_pid
        watcher = psycopg.conninfo.make_conninfo(small_vault, user="watcher")
        crowd: list[psycopg.Connection[object]] = []
        try:
            with psycopg.connect(small_vault, autocommit=True) as superuser:
                # whatever place becomes free is taken at once, also the one of the loop that is ended here
                connections["vault"].close()
                superuser.execute("SELECT pg_terminate_backend(%s)", [leader])

                def crowded() -> bool:
                    try:
                        crowd.append(psycopg.connect(watcher, connect_timeout=2))
                    except psycopg.OperationalError:
                        if MonitorState.objects.filter(
                            state=MonitorState.State.NOT_WATCHING, reason__contains="too many clients"
                        ).exists():
                            return True
                    # the loop may have been faster to the free place: end it again
                    superuser.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name LIKE 'one_vault_lockmon:%'"
                    )
                    return False

                poll(crowded, 20, "the refusal in Django's own database")
                connections["vault"].close()
                state = watchdog.examine("vault")
                assert not state.watching
                assert "too many clients" in state.headline
                assert "Not watching since" in state.headline
                assert "are missing" in state.headline
        finally:
            for connection in crowd:
                connection.close()
        poll(lambda: watching(small_vault), 15, "watching again")
        poll(
            lambda: rows(
                small_vault,
                "SELECT 1 FROM lock_engine.coverage_gap WHERE reason LIKE '%too many clients%'"
                " OR reason LIKE '%administrator%'",
            ),
            5,
            "the gap with its reason",
        )
        poll(
            lambda: not MonitorState.objects.filter(state=MonitorState.State.NOT_WATCHING).exists(),
            5,
            "the outage's end in Django's own database",
        )


def test_a_pooler_is_refused_with_a_sentence(small_server: Server, small_vault: str) -> None:
    place = connections["vault"].settings_dict
    with psycopg.connect(small_vault, autocommit=True) as connection:
        connection.execute("ALTER ROLE watcher PASSWORD 'let-me-in'")
    before = {key: place[key] for key in ("HOST", "PORT", "PASSWORD", "OPTIONS")}
    with pooler(small_server.socket_directory, small_server.port) as port:
        place.update(HOST="127.0.0.1", PORT=port, OPTIONS={**place["OPTIONS"], "sslmode": "disable"})
        try:
            with pytest.raises(CannotWatchError, match="goes through a connection pooler"):
                open_connection("vault", "loop", QUICK)
            with running_loop(QUICK) as loop:
                poll(lambda: loop.error, what="the refusal")
                assert isinstance(loop.error, CannotWatchError)
            said = poll(
                lambda: MonitorState.objects.filter(reason__contains="pooler").first(), 5, "the reason"
            )
            assert said is not None
            assert said.state == MonitorState.State.NOT_WATCHING
        finally:
            place.update(before)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(FACTS, version_num=120011), "PostgreSQL 12"),
        (replace(FACTS, in_recovery=True), "standby"),
        (replace(FACTS, vault_installed=False), "lockmon_deploy"),
        (replace(FACTS, reads_activity=False), "pg_monitor"),
    ],
)
def test_an_unfit_server_is_refused_with_a_sentence(facts: ServerFacts, words: str) -> None:
    with pytest.raises(CannotWatchError, match=words) as refused:
        refuse_unfit("vault", facts, facts.backend_pid)
    assert str(refused.value).endswith(".")


def test_a_login_whose_looks_are_not_taken_is_refused_until_it_is_let_in(
    small_server: Server, small_vault: str
) -> None:
    """A login that the site made by hand, and the release before took: nothing that it saw would be kept."""
    with psycopg.connect(small_vault, autocommit=True) as dba:
        dba.execute("DELETE FROM lock_admin.application_login")
        with running_loop(QUICK) as loop:
            poll(lambda: loop.error, what="the refusal")
        assert isinstance(loop.error, CannotWatchError)
        headline = watchdog.examine("vault").headline
        assert headline.startswith("Not watching since ") and "watcher is none" in headline, headline
        assert "manage.py lockmon_deploy --login watcher" in headline
        assert str(loop.error) in [finding.meaning for finding in doctor.server("vault")]
        assert not dba.execute("SELECT 1 FROM lock_engine.coverage").fetchall()
        dba.execute("INSERT INTO lock_admin.application_login (login) VALUES ('watcher')")
        with running_loop(QUICK):
            poll(lambda: watching(small_vault), 10, "watching once it is let in")


def test_failures_are_said_in_words() -> None:
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect("host=127.0.0.1 port=1 dbname=x connect_timeout=2")
    assert "nothing answers" in describe_failure(refused.value)


def test_a_server_in_recovery_is_said_by_loop_page_and_command(
    small_server: Server, small_vault: str
) -> None:
    """The vault can be read there, and nothing can be stored: not watching, until it is promoted."""

    def headline() -> str:
        connections["vault"].close()
        return watchdog.examine("vault").headline

    with running_loop(QUICK):
        poll(lambda: watching(small_vault), what="a watching loop")
        small_server.cluster.stop()
        (small_server.cluster.data / "standby.signal").touch()
        small_server.cluster.start()
        began = datetime.now(UTC)
        try:
            poll(lambda: "it is in recovery" in headline(), 30, "the health line of a standby")
            said = headline()
            assert (
                said.startswith("Not watching since ") and "point VAULT_DATABASE_URL at the primary" in said
            )
            page = browser("superuser").get("/admin/", follow=True)
            assert page.status_code == 200 and "it is in recovery" in page.content.decode()
            for words in (("lockmon_cycle",), ("lockmon_capture",)):
                with pytest.raises(CommandError, match="This server is a standby and cannot be written to"):
                    call_command(*words, stdout=io.StringIO())
        finally:
            small_server.execute("SELECT pg_promote()")
        poll(lambda: watching(small_vault), 30, "watching again after the promotion")
        # the clock of this process is the server's
        over = f"SELECT 1 FROM lock_engine.coverage_gap WHERE gap_start < '{began}' AND gap_end > '{began}'"
        poll(lambda: rows(small_vault, over), 10, "the gap")
