"""Policies: versions, arming, dry run, acting through the door, limits, circuit breaker, back-test."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.conftest import Connect, OpenSession
from tests.support import doors
from tests.support.doors import Door
from tests.support.poll import poll
from tests.support.servers import Server

RULES = {"action": "terminate", "min_severity": "LOW", "min_blocked_seconds": 1, "user_patterns": ["app_*"]}


@pytest.fixture
def scene(server: Server, vault_db: str) -> str:
    """A database with the vault, the table and the logins."""
    doors.prepare(server, vault_db)
    with psycopg.connect(vault_db, autocommit=True) as dba:
        # the keeper is the application's login here, which says for whom it acts
        dba.execute("INSERT INTO lock_admin.application_login (login) VALUES (%s)", [doors.KEEPER])
    return vault_db


@pytest.fixture
def door(scene: str, connect: Connect) -> Door:
    """A keeper of the door."""
    return Door(connect(scene, user=doors.KEEPER))


def save(door: Door, name: str = "idle", by: str = "ann", **rules: Any) -> int:
    """Save a policy; returns its version."""
    row = door.one(
        "SELECT * FROM lock_admin.save_policy(%s, %s::jsonb, %s)", name, json.dumps(RULES | rules), by
    )
    return int(row["version"])


def mode(door: Door, to: str, name: str = "idle", by: str = "bob", people: int = 2) -> dict[str, Any]:
    """Turn a policy."""
    return door.one(
        "SELECT * FROM lock_admin.set_policy_mode(%s, %s, 'a test', %s, %s)", name, to, by, people
    )


def arm(door: Door, name: str = "idle", **rules: Any) -> None:
    """Save, back-test and arm a policy."""
    save(door, name, **rules)
    door.one("SELECT lock_admin.backtest_policy(%s)", name)
    assert mode(door, "armed", name)["accepted"]


def run(door: Door) -> list[dict[str, Any]]:
    """One round of the policies, as the loop calls it."""
    return door.all("SELECT * FROM lock_admin.run_policies()")


def until(door: Door, decision: str, pid: int) -> dict[str, Any]:
    """Run the policies until one decides so about the session."""

    def look() -> dict[str, Any] | None:
        return next((r for r in run(door) if r["decision"] == decision and r["session_pid"] == pid), None)

    found = poll(look, 15, f"{decision} of {pid}", 0.1)
    assert found is not None
    return found


def test_an_armed_policy_requests_first_and_acts_in_the_next_transaction(
    scene: str, door: Door, session: OpenSession, connect: Connect
) -> None:
    arm(door)
    holder = doors.hold(session, scene)
    waiter = doors.wait(session, scene)
    requested = until(door, "terminate", holder.pid)
    assert requested["pending"]
    assert doors.alive(scene)(holder.pid)
    (done,) = [row for row in run(door) if row["action_id"] == requested["action_id"]]
    assert done["decision"] == "terminated"
    waiter.result()
    row = door.one("SELECT * FROM lock_admin.action_history WHERE action_id = %s", requested["action_id"])
    assert (row["origin"], row["policy_version"], row["outcome"]) == ("policy", 1, "terminated")
    assert 'Policy "idle", version 1' in row["reason"]


def test_the_reading_role_runs_policies_but_cannot_use_the_door(
    scene: str, door: Door, session: OpenSession, connect: Connect
) -> None:
    arm(door)
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    reader = Door(connect(scene, user=doors.READER))
    until(reader, "terminated", holder.pid)
    assert not doors.alive(scene)(holder.pid)


def test_all_off_decides_and_writes_nothing(scene: str, door: Door, session: OpenSession) -> None:
    save(door)
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    assert run(door) == []
    with door.connection.transaction():
        assert run(door) == []
        assert door.one("SELECT pg_current_xact_id_if_assigned() AS xid")["xid"] is None
    assert doors.alive(scene)(holder.pid)


def test_a_dry_run_only_writes_down_what_it_would_do_and_once(
    scene: str, door: Door, session: OpenSession
) -> None:
    save(door)
    assert mode(door, "dry_run")["accepted"]
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    until(door, "would terminate", holder.pid)
    assert run(door) == []
    assert doors.alive(scene)(holder.pid)
    assert door.one("SELECT count(*) AS n FROM lock_admin.action_history")["n"] == 0
    assert door.one("SELECT would_stop_24h AS n FROM lock_admin.policy_overview")["n"] == 1


def test_arming_takes_evidence_and_a_second_person(scene: str, door: Door) -> None:
    save(door, by="ann")
    assert mode(door, "armed", by="bob")["code"] == "no_evidence"
    # a replay over an hour in which nothing was stored is no evidence
    door.one(
        "SELECT lock_admin.backtest_policy('idle', now() - interval '9 days', now() - interval '8 days')"
    )
    assert mode(door, "armed", by="bob")["code"] == "no_evidence"
    door.one("SELECT lock_admin.backtest_policy('idle')")
    assert mode(door, "armed", by="Ann")["code"] == "second_person"
    assert mode(door, "armed", by="bob")["accepted"]
    # other rules: dry again, and the back-test of the old ones is no evidence
    assert save(door, by="bob", min_blocked_seconds=2) == 2
    assert door.one("SELECT mode, version FROM lock_admin.policy_overview") == {
        "mode": "dry_run",
        "version": 2,
    }
    assert mode(door, "armed", by="ann")["code"] == "no_evidence"
    with psycopg.connect(scene, autocommit=True) as connection:
        connection.execute("UPDATE lock_admin.policy_mode_s SET load_date = load_date - interval '25 hours'")
    assert "dry run since" in mode(door, "armed", by="ann")["message"]


def judged(connection: Door, by: str | None, to: str = "armed") -> dict[str, Any]:
    """Arm as somebody who gives this name, without saying how many others there are."""
    return connection.one("SELECT * FROM lock_admin.set_policy_mode('idle', %s, 'a test', %s)", to, by)


def test_a_database_role_is_one_person_whatever_names_it_gives(
    scene: str, door: Door, connect: Connect
) -> None:
    dba = connect(scene)
    for role in ("dba_one", "dba_two"):
        if not dba.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
            dba.execute(f"CREATE ROLE {role} LOGIN IN ROLE lock_admin_role")
    one, two = Door(connect(scene, user="dba_one")), Door(connect(scene, user="dba_two"))
    assert save(one, by="ann") == 1
    one.one("SELECT lock_admin.backtest_policy('idle')")
    for name in ("bob", "dba_two", "", None, "ann"):
        assert judged(one, name)["code"] == "second_person", name
    one.connection.execute("SET ROLE lock_admin_role")
    assert judged(one, "bob")["code"] == "second_person"
    # he cannot make himself the application's login
    for statement in (
        "INSERT INTO lock_admin.application_login (login) VALUES ('dba_one')",
        "UPDATE lock_admin.application_login SET login = 'dba_one'",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            one.connection.execute(statement)
    one.connection.execute(
        "UPDATE lock_admin.setting SET value = value || '\"dba_one\"' WHERE name = 'monitor.own_logins'"
    )
    assert judged(one, "bob")["code"] == "second_person"
    row = one.one("SELECT edited_by, edited_login, edited_person FROM lock_admin.policy_s")
    assert row == {
        "edited_by": "dba_one",
        "edited_login": "dba_one",
        "edited_person": "database role dba_one",
    }

    # another database role is another person, and so is a web login
    assert judged(two, "ann")["accepted"]
    assert judged(two, None, "off")["accepted"]
    assert judged(door, "dba_one")["accepted"]


def test_a_web_login_is_one_person_through_whichever_login_of_the_application(
    scene: str, door: Door, connect: Connect
) -> None:
    dba = connect(scene)
    if not dba.execute("SELECT 1 FROM pg_roles WHERE rolname = 'app_two'").fetchone():
        dba.execute("CREATE ROLE app_two LOGIN IN ROLE lock_admin_role")
    dba.execute("INSERT INTO lock_admin.application_login (login) VALUES ('app_two')")
    other = Door(connect(scene, user="app_two"))
    save(door, by="ann")
    door.one("SELECT lock_admin.backtest_policy('idle')")
    assert mode(other, "armed", by=" ANN ", people=2)["code"] == "second_person"
    assert mode(other, "armed", by="bob", people=2)["accepted"]


def test_one_person_alone_may_arm_unless_the_setting_says_always(scene: str, door: Door) -> None:
    save(door, by=doors.KEEPER)
    door.one("SELECT lock_admin.backtest_policy('idle')")
    with psycopg.connect(scene, autocommit=True) as connection:
        connection.execute(
            "UPDATE lock_admin.setting SET value = '\"always\"' WHERE name = 'policy.second_person'"
        )
    assert mode(door, "armed", by=doors.KEEPER, people=1)["code"] == "second_person"
    with psycopg.connect(scene, autocommit=True) as connection:
        connection.execute(
            "UPDATE lock_admin.setting SET value = '\"never\"' WHERE name = 'policy.second_person'"
        )
    assert mode(door, "armed", by=doors.KEEPER, people=5)["accepted"]


def test_after_the_clock_was_set_back_no_version_ends_before_it_begins(scene: str, door: Door) -> None:
    """What a clock an hour ahead leaves: versions of the time to come."""
    save(door, by="ann")
    door.one("SELECT lock_admin.backtest_policy('idle')")
    with psycopg.connect(scene, autocommit=True) as dba:
        for table in ("policy_s", "policy_mode_s"):
            dba.execute(f"UPDATE lock_admin.{table} SET load_date = load_date + interval '1 hour'")
        assert mode(door, "armed", by="bob")["accepted"]
        assert save(door, by="bob", min_blocked_seconds=2) == 2
        assert mode(door, "off", by="bob")["accepted"]
        for table in ("policy_s", "policy_mode_s"):
            wrong = f"SELECT count(*) FROM lock_admin.{table} WHERE load_end_date < load_date"
            assert dba.execute(wrong).fetchone() == (0,), table


def test_saving_the_same_rules_writes_no_version(door: Door) -> None:
    assert save(door) == 1
    assert save(door) == 1
    assert save(door, description="other words") == 2
    assert door.one("SELECT count(*) AS n FROM lock_admin.policy_s")["n"] == 2


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"user_patterns": [], "application_patterns": ["api"]}, "name the users as well"),
        ({"user_patterns": ["*"], "tenant_patterns": ["acme"]}, "name the users as well"),
        ({"action": "kill"}, "cancel, terminate"),
        ({"min_blocked_seconds": 0}, "1 or more"),
        ({"kinds": ["prepared_transaction"]}, "cannot stop"),
        ({"time_windows": [{"from": "25:00"}]}, "time window looks like"),
        ({"colour": "red"}, "no rule named colour"),
    ],
)
def test_rules_that_make_no_sense_are_refused_with_a_sentence(
    door: Door, rules: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(errors.InvalidParameterValue, match=sentence):
        save(door, **rules)


@pytest.mark.parametrize(
    ("rules", "spared"),
    [
        ({"user_patterns": ["other_*"]}, True),
        ({"application_patterns": ["bill*"]}, False),
        ({"application_patterns": ["api"]}, True),
        ({"relation_patterns": ["app.acc*"]}, False),
        ({"relation_patterns": ["app.ledger"]}, True),
        ({"kinds": ["idle_in_transaction"]}, False),
        ({"kinds": ["long_query"]}, True),
        ({"min_blocked_sessions": 2}, True),
        ({"min_severity": "CRITICAL"}, True),
        ({"pause_windows": [{}]}, True),
        ({"time_windows": [{"days": []}]}, True),
        ({"protected_users": ["APP_RW"]}, True),
        ({"protected_applications": [{"application": "billing", "user": "app_rw"}]}, True),
        ({"protected_applications": [{"application": "billing", "user": "somebody"}]}, False),
    ],
)
def test_who_is_matched(
    scene: str, door: Door, session: OpenSession, rules: dict[str, Any], spared: bool
) -> None:
    save(door, **rules)
    mode(door, "dry_run")
    holder = doors.hold(session, scene)
    # two rows: the second is waited for through its tuple lock, which names the relation
    doors.wait(session, scene)
    since = "max(extract(epoch FROM clock_timestamp() - blocking_since))"
    seconds = f"SELECT {since} AS s FROM lock_catalog.waits_for()"
    poll(lambda: (door.one(seconds)["s"] or 0) > 1.05, what="a second of waiting")
    found = [row["decision"] for row in run(door) if row["session_pid"] == holder.pid]
    assert (found in ([], ["spared"])) == spared, found


def test_the_hourly_limit_holds(scene: str, door: Door, session: OpenSession) -> None:
    arm(door, max_per_hour=1, max_per_run=5)
    holders = [doors.hold(session, scene, row=row, name=f"job {row}") for row in (1, 2)]
    for row in (1, 2):
        doors.wait(session, scene, row=row)

    def gone() -> int:
        run(door)
        return sum(not doors.alive(scene)(one.pid) for one in holders)

    poll(lambda: gone() == 1, 15, "the first stop", 0.1)
    for _ in range(4):
        assert gone() == 1
    assert (
        door.one("SELECT count(*) AS n FROM lock_admin.policy_decision WHERE why LIKE 'limit of 1%%'")["n"]
        == 1
    )


def test_the_breaker_disarms_a_policy_whose_stops_do_not_help(
    scene: str, door: Door, session: OpenSession
) -> None:
    arm(door, breaker_failures=2)
    for _ in range(2):
        holder = doors.hold(session, scene)
        waiter = doors.wait(session, scene)
        until(door, "terminated", holder.pid)
        waiter.result()
        waiter.run("COMMIT")
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    until(door, "disarmed", holder.pid)
    assert doors.alive(scene)(holder.pid)
    row = door.one("SELECT mode, by_breaker, mode_reason FROM lock_admin.policy_overview")
    assert (row["mode"], row["by_breaker"]) == ("dry_run", True)
    assert "did not help" in row["mode_reason"]


def test_a_policy_that_was_turned_off_does_not_carry_out_what_it_had_requested(
    scene: str, door: Door, session: OpenSession
) -> None:
    arm(door)
    holder = doors.hold(session, scene)
    doors.wait(session, scene)
    requested = until(door, "terminate", holder.pid)
    assert mode(door, "off")["accepted"]
    assert run(door) == []
    arm(door, min_blocked_seconds=3000)
    done = [row for row in run(door) if row["action_id"] == requested["action_id"]]
    assert [row["decision"] for row in done] == ["refused"]
    assert doors.alive(scene)(holder.pid)


def test_the_back_test_tells_what_it_would_have_stopped_and_saved(scene: str, door: Door) -> None:
    with psycopg.connect(scene, autocommit=True) as connection:
        for number, (user, length) in enumerate((("app_rw", 600), ("app_rw", 63), ("other", 600)), start=1):
            doors.past_episode(connection, number, user, length)
    save(door, min_blocked_seconds=60, min_severity="HIGH")
    number = door.one("SELECT lock_admin.backtest_policy('idle') AS n")["n"]
    row = door.one("SELECT * FROM lock_admin.policy_backtest WHERE backtest_id = %s", number)
    assert (row["episodes"], row["stops"], row["ended_soon_anyway"]) == (4, 2, 1)
    assert float(row["saved_seconds"]) == pytest.approx(4 * (540 + 3), abs=1)
    assert [one["pid"] for one in row["results"]] == [1, 2]
    assert (row["freed_at_once"], row["frees_nobody"], row["effect_not_known"]) == (8, 0, 0)
    with pytest.raises(errors.InvalidParameterValue, match="no policy"):
        door.one("SELECT lock_admin.backtest_policy('nobody')")


def test_the_back_test_does_not_act_while_nobody_watched(scene: str, door: Door) -> None:
    with psycopg.connect(scene, autocommit=True) as connection:
        doors.past_episode(connection, 1, "app_rw", 600)
        # from half a minute on to five minutes after its begin; it would have been stopped after one
        connection.execute(
            "INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason)"
            " SELECT load_date + interval '30 seconds', load_date + interval '5 minutes', 'held up'"
            " FROM lock_monitoring.blocking_session_s WHERE session_pid = 1"
        )
    save(door, min_blocked_seconds=60, min_severity="HIGH")
    number = door.one("SELECT lock_admin.backtest_policy('idle') AS n")["n"]
    row = door.one("SELECT * FROM lock_admin.policy_backtest WHERE backtest_id = %s", number)
    assert row["stops"] == 1
    assert float(row["saved_seconds"]) == pytest.approx(4 * 300, abs=1)
    assert float(row["watched_share"]) == pytest.approx(1 - 270 / (7 * 86400), abs=1e-5)


def test_the_back_test_counts_those_whom_a_stop_frees(scene: str, door: Door) -> None:
    """Of a queue for an exclusive lock the first; of two holders none, unless both are stopped."""
    with psycopg.connect(scene, autocommit=True) as connection:
        doors.past_episode(connection, 1, "app_rw", 600, mode="ExclusiveLock")
        doors.past_episode(connection, 2, "app_rw", 600, others=(999,))
        doors.past_episode(connection, 3, "app_rw", 600, others=(4,))
        doors.past_episode(connection, 4, "app_rw", 600, others=(3,))
        # those behind 3 wait for 4, too, and are freed once
        connection.execute(
            "INSERT INTO lock_monitoring.lock_blocking_l (link_lock_blocking_hk, blocking_session_hk,"
            " lock_activity_hk, tenant_hk, load_date, record_source)"
            " SELECT sha256(l.link_lock_blocking_hk), int4send(4), l.lock_activity_hk, l.tenant_hk,"
            " l.load_date, 'test' FROM lock_monitoring.lock_blocking_l l"
            " WHERE l.blocking_session_hk = int4send(3)"
        )
        doors.past_episode(connection, 5, "app_rw", 600)
        connection.execute(
            "DELETE FROM lock_monitoring.lock_blocking_l WHERE blocking_session_hk = int4send(5)"
        )
    save(door, min_blocked_seconds=60, min_severity="HIGH")
    number = door.one("SELECT lock_admin.backtest_policy('idle') AS n")["n"]
    row = door.one("SELECT * FROM lock_admin.policy_backtest WHERE backtest_id = %s", number)
    found = {one["pid"]: (one["frees"], one["saved_seconds"]) for one in row["results"]}
    assert {pid: frees for pid, (frees, _) in found.items()} == {1: 1, 3: 4, 4: 8, 5: None}
    assert found[5][1] is None and float(found[1][1]) == pytest.approx(540, abs=1)
    assert (row["stops"], row["freed_at_once"], row["frees_nobody"], row["effect_not_known"]) == (4, 9, 1, 1)
    assert float(row["saved_seconds"]) == pytest.approx(540 + 2 * 4 * 540, abs=3)


def test_a_policy_stops_only_whose_end_frees_somebody(scene: str, door: Door, session: OpenSession) -> None:
    """Two hold a lock together: either alone frees nobody, so a policy for one of them leaves it alone."""
    share = "LOCK TABLE app.accounts IN SHARE MODE"
    holders = [session(scene, user=doors.ORDINARY, application_name=name) for name in ("one", "two")]
    for holder in holders:
        holder.run(share)
    waiter = session(scene, user=doors.ORDINARY)
    waiter.start("LOCK TABLE app.accounts IN EXCLUSIVE MODE")
    waiter.wait_blocked()
    arm(door, name="one", application_patterns=["one"])
    spared = until(door, "spared", holders[0].pid)
    assert "free nobody" in spared["message"]
    arm(door, name="both", max_per_run=2)

    def left() -> list[int]:
        run(door)
        return [holder.pid for holder in holders if doors.alive(scene)(holder.pid)]

    poll(lambda: not left(), 15, "both are gone", 0.1)
    waiter.result()


@pytest.mark.parametrize(
    ("window", "at", "inside"),
    [
        ({"from": "22:00", "to": "06:00", "zone": "UTC"}, "2026-11-22 23:30+00", True),
        ({"from": "22:00", "to": "06:00", "zone": "UTC"}, "2026-11-23 05:59+00", True),
        ({"from": "22:00", "to": "06:00", "zone": "UTC"}, "2026-11-23 06:00+00", False),
        # Sunday's night goes on into Monday
        ({"days": [7], "from": "22:00", "to": "06:00", "zone": "UTC"}, "2026-11-23 03:00+00", True),
        ({"days": [1], "from": "22:00", "to": "06:00", "zone": "UTC"}, "2026-11-23 03:00+00", False),
        ({"from": "08:00", "to": "18:00", "zone": "Europe/Berlin"}, "2026-11-23 07:30+00", True),
        ({"days": [6, 7]}, "2026-11-22 12:00+00", True),
    ],
)
def test_time_windows(door: Door, window: dict[str, Any], at: str, inside: bool) -> None:
    row = door.one(
        "SELECT lock_admin.in_window(%s::jsonb, %s::timestamptz) AS inside", json.dumps([window]), at
    )
    assert row["inside"] is inside


def test_a_policy_stops_nobody_in_vain(scene: str, door: Door, session: OpenSession) -> None:
    """Of two holders one is beyond what a policy may do, or its limit: the other is left alone, too."""
    share = "LOCK TABLE app.accounts IN SHARE MODE"
    runs = session(scene, user=doors.ORDINARY, application_name="runs")
    runs.run(share)
    runs.start("SELECT pg_sleep(600)")
    idle = session(scene, user=doors.ORDINARY, application_name="idle")
    idle.run(share)
    waiter = session(scene, user=doors.ORDINARY)
    waiter.start("LOCK TABLE app.accounts IN EXCLUSIVE MODE")
    waiter.wait_blocked()
    arm(door, name="cancels", action="cancel", max_per_run=5)
    assert "free nobody" in until(door, "spared", runs.pid)["message"]
    assert mode(door, "off", name="cancels")["accepted"]
    arm(door, name="one", max_per_run=1)
    assert until(door, "spared", runs.pid)["message"] == "limit of this run"
    assert {row["decision"] for row in run(door)} <= {"spared"}
    assert all(doors.alive(scene)(one.pid) for one in (runs, idle))


def test_the_back_test_looks_again_when_another_holder_has_gone(scene: str, door: Door) -> None:
    with psycopg.connect(scene, autocommit=True) as connection:
        doors.past_episode(connection, 1, "app_rw", 600, others=(999,))
        # from a minute on nobody else was in the way
        connection.execute(
            """
            WITH ended AS (
              UPDATE lock_monitoring.lock_activity_s
                 SET load_end_date = load_date + interval '60 s', resolution_action = NULL
               WHERE root_nodes @> '{999}' RETURNING *)
            INSERT INTO lock_monitoring.lock_activity_s (
              lock_activity_hk, load_date, load_end_date, hash_diff, lock_type, lock_mode, lock_pid,
              lock_granted, wait_start, wait_start_is_bound, object_key, blocking_nodes, soft_blocking_nodes,
              root_nodes, run_head, queue_position, record_source)
            SELECT e.lock_activity_hk, b.load_date + interval '60 s', b.load_end_date, '\\x01', e.lock_type,
                   e.lock_mode, e.lock_pid, false, e.wait_start, false, e.object_key, '{1}', '{}', '{1}',
                   e.run_head, e.queue_position, 'test'
              FROM ended AS e, lock_monitoring.blocking_session_s AS b
             WHERE b.blocking_session_hk = int4send(1)
            """
        )
    save(door, min_blocked_seconds=10, min_severity="LOW")
    number = door.one("SELECT lock_admin.backtest_policy('idle') AS n")["n"]
    row = door.one("SELECT * FROM lock_admin.policy_backtest WHERE backtest_id = %s", number)
    assert (row["stops"], row["freed_at_once"], row["frees_nobody"]) == (1, 4, 0)
    assert float(row["saved_seconds"]) == pytest.approx(4 * 540, abs=3)
