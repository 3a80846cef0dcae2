"""The moment in which a loop has the leader's place and has not said anything yet: nothing false is shown."""

from __future__ import annotations

import pytest
from django.test import Client, RequestFactory

from lockmon import doctor
from lockmon.metrics import metrics
from lockmon.monitor import watchdog
from lockmon.monitor.options import LoopOptions
from lockmon.views.heart import read_heart
from tests.app.test_metrics import samples
from tests.conftest import OpenSession
from tests.support.loops import rows, running_loop, status
from tests.support.poll import poll

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

LEAD = "SELECT pg_advisory_lock(460, 3)"
BEAT = (
    "INSERT INTO lock_engine.heartbeat (leader_pid, leader_host, leader_process, watching_since, beat_at,"
    " last_look_at, skipping_since, skipped_because) VALUES ({pid}, 'host', 7, {since}, {since}, {since},"
    " {skipping}, {because})"
)
LONG_AGO = "clock_timestamp() - interval '3 days'"


def beat(pid: str, skipping: bool = False) -> str:
    since, because = (LONG_AGO, "'the culprit of then'") if skipping else ("NULL", "NULL")
    return BEAT.format(pid=pid, since=LONG_AGO, skipping=since, because=because)


def the_line(alias: str = "vault") -> doctor.Finding:
    (found,) = [one for one in doctor.heartbeat(alias) if one.name == "watching"]
    return found


def test_what_was_in_the_way_of_the_leader_before_is_not_in_the_way_of_this_one(
    vault_db: str, session: OpenSession
) -> None:
    leader = session(vault_db)
    leader.run(beat("1", skipping=True))
    leader.run("COMMIT")
    leader.run(LEAD)
    now = status(vault_db)
    assert (now.skipping_since, now.skipped_because, now.watching_since) == (None, None, None)
    (alert,) = rows(
        vault_db,
        "SELECT alert_query FROM monitoring.alert_configuration_s WHERE alert_name = 'Monitor cannot store'",
    )
    (value,) = rows(vault_db, str(alert["alert_query"]))
    assert list(value.values()) == [0]
    scraped = samples(metrics(RequestFactory().get("/metrics")).content.decode())
    assert [value for _, value in scraped["lockmon_skipping"]] == [0]


@pytest.mark.parametrize("before", [True, False], ids=["after another", "the first ever"])
def test_a_loop_that_has_not_looked_yet_is_no_reason_to_start_another(
    vault_db: str, session: OpenSession, before: bool
) -> None:
    leader = session(vault_db)
    if before:
        leader.run(beat("1"))
        leader.run("COMMIT")
    leader.run(LEAD)
    (pid,) = rows(vault_db, "SELECT leader_pid FROM lock_engine.monitor_status")
    found = watchdog.examine("vault")
    assert not found.watching
    assert found.headline.startswith(
        f"Not watching yet: server process {pid['leader_pid']} has the loop's place"
    )
    assert ("3 d 0 h are missing" in found.headline) is before
    assert ("Nobody has looked before" in found.headline) is not before
    assert "qcluster" not in found.headline and "unknown" not in found.headline
    assert "qcluster" not in the_line().remedy
    assert ("Watching since", "not yet: a loop begins") in read_heart().details
    assert Client().get("/readyz").status_code == 503


def test_a_leader_that_looks_no_more_is_named(
    vault_db: str, session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "STALE_SECONDS", 0.2)
    leader = session(vault_db)
    leader.run(beat("pg_backend_pid()"))
    leader.run("COMMIT")
    leader.run(LEAD)
    poll(lambda: watchdog.examine("vault").headline.startswith("Not watching since "), what="its silence")
    told = watchdog.examine("vault").headline
    assert "the loop on host, process 7, keeps its place" in told
    assert f"pg_terminate_backend({status(vault_db).leader_pid})" in told
    assert "qcluster" not in told and "qcluster" not in the_line().remedy


def test_since_when_it_watches_is_known_before_its_first_cycle_has_ended(
    vault_db: str, session: OpenSession
) -> None:
    """A cycle may last for seconds."""
    dba = session(vault_db)
    for line in (
        "CREATE TABLE public.go ()",
        "GRANT SELECT ON public.go TO PUBLIC",
        "CREATE FUNCTION public.wait_for_go() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " WHILE NOT EXISTS (SELECT FROM public.go) LOOP PERFORM pg_sleep(0.05); END LOOP;"
        " RETURN NULL; END$$",
        "CREATE TRIGGER wait_for_go BEFORE INSERT ON lock_monitoring.lock_activity_s"
        " FOR EACH STATEMENT EXECUTE FUNCTION public.wait_for_go()",
        "COMMIT",
        "SELECT pg_advisory_lock(78, 1)",
    ):
        dba.run(line)
    asleep = "SELECT 1 FROM pg_stat_activity WHERE pid = {} AND wait_event = 'PgSleep'"
    with running_loop(LoopOptions(full_interval=1.0)):
        try:
            poll(
                lambda: (pid := status(vault_db).leader_pid) and rows(vault_db, asleep.format(pid)),
                20,
                "the first cycle under way",
            )
            now = status(vault_db)
            assert now.state == "watching" and now.last_cycle_at is None
            assert now.watching_since is not None and now.leader_host is not None
            assert watchdog.examine("vault").headline.startswith("Not watching yet: a loop has begun")
        finally:
            dba.run("INSERT INTO public.go DEFAULT VALUES")
            dba.run("COMMIT")
        poll(
            lambda: watchdog.examine("vault").headline.startswith("Watching. Last look "),
            20,
            "the first cycle",
        )
