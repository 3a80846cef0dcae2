"""What an update does to armed policies of release candidate 1: those may run dry."""

from __future__ import annotations

from typing import Any

import psycopg

from lockmon.install import install
from tests.conftest import Connect
from tests.support import vaults
from tests.support.servers import Server


def test_an_armed_policy_whose_times_change_is_a_dry_run_from_the_update_on(
    server: Server, site: str, connect: Connect
) -> None:
    """The release before took a window without a zone for the session's time zone."""
    living = connect(site)
    second = connect(site, user="shop_dba")
    second.execute("SET ROLE lock_admin_role")
    night = '[{"from": "22:00", "to": "06:00"}]'
    zoned = '[{"from": "22:00", "to": "06:00", "zone": "Europe/Berlin"}]'
    for name, windows in (("night", night), ("zoned", zoned)):
        rules = '{"action": "cancel", "min_blocked_seconds": 60, "user_patterns": ["app_*"], '
        rules += f'"time_windows": {windows}}}'
        make_and_arm(living, second, name, rules)
    assert install(site).changed
    found = dict(living.execute(MODES).fetchall())
    assert {name: mode for name, (mode, _reason) in found.items()} == {
        "night": "dry_run", "zoned": "armed", "forgotten": "dry_run", "watch only": "dry_run"
    }  # fmt: skip
    assert "log_timezone" in found["night"][1] and "arm the policy again" in found["night"][1]
    # whoever has looked arms it, and the next update leaves that alone
    arm(second, "night")
    assert not install(site, again=True).changed
    assert dict(living.execute(MODES).fetchall())["night"][0] == "armed"


def test_a_policy_armed_under_two_names_of_one_database_role_is_a_dry_run_from_the_update_on(
    server: Server, site: str, connect: Connect
) -> None:
    """The release before took any name for a person; shop_dba was ann and then bob."""
    living = connect(site)
    second = connect(site, user="shop_dba")
    second.execute("SET ROLE lock_admin_role")
    application = connect(site, user=vaults.APP_LOGIN)
    application.execute("SET ROLE lock_admin_role")
    rules = '{"action": "cancel", "min_blocked_seconds": 60, "user_patterns": ["app_*"]}'
    rule = "UPDATE lock_admin.setting SET value = %s WHERE name = 'policy.second_person'"
    # by two database roles; by two web logins; by one person alone, of whom that release's rule took it
    for name, editor, by, armer, other in (
        ("two roles", living, "ann", second, "ann2"),
        ("web", application, "ann", application, "bob"),
        ("alone", second, "carol", second, "carol"),
    ):
        # how many people there are depends on what other tests have left in the cluster
        living.execute(rule, ['"never"' if name == "alone" else '"auto"'])
        editor.execute("SELECT lock_admin.save_policy(%s, %s, %s)", [name, rules, by])
        editor.execute("SELECT lock_admin.backtest_policy(%s)", [name])
        row = armer.execute(
            "SELECT accepted FROM lock_admin.set_policy_mode(%s, 'armed', 'agreed', %s, 1)", [name, other]
        ).fetchone()
        assert row == (True,), name
    living.execute(rule, ['"auto"'])
    assert install(site).changed
    found = dict(living.execute(MODES).fetchall())
    assert {name: mode for name, (mode, _reason) in found.items()} == {
        "forgotten": "dry_run",
        "watch only": "dry_run",
        "two roles": "armed",
        "web": "armed",
        "alone": "armed",
    }
    reason = found["forgotten"][1]
    assert (
        "ann edited" in reason and "bob armed" in reason and "shop_dba" in reason and "arm it again" in reason
    )
    logins = living.execute("SELECT login::text FROM lock_admin.application_login").fetchall()
    assert logins == [(vaults.APP_LOGIN,)], "the application's login is known without being let in again"
    # it is the editor still, whatever name it gives now
    row = second.execute(
        "SELECT code FROM lock_admin.set_policy_mode('forgotten', 'armed', 'agreed', 'dave', 2)"
    ).fetchone()
    assert row == ("second_person",)
    assert not install(site, again=True).changed


def test_an_armed_policy_that_would_stop_others_is_a_dry_run_from_the_update_on(
    server: Server, site: str, connect: Connect
) -> None:
    """Kinds follow from what a session does since, and a client that does not read is not cancelled first."""
    living = connect(site)
    second = connect(site, user="shop_dba")
    second.execute("SET ROLE lock_admin_role")
    more = '"min_blocked_seconds": 60, "user_patterns": ["app_*"]}'
    for name, rules in {
        "ddl": '{"action": "cancel", "kinds": ["running_ddl"], ',
        "both": '{"action": "cancel_then_terminate", ',
        "any": '{"action": "cancel", ',
    }.items():
        make_and_arm(living, second, name, rules + more)
    assert install(site).changed
    found = dict(living.execute(MODES).fetchall())
    assert [found[name][0] for name in ("ddl", "both", "any")] == ["dry_run", "dry_run", "armed"]
    assert "what a session does" in found["ddl"][1] == found["both"][1]
    arm(second, "ddl")
    assert not install(site, again=True).changed
    assert dict(living.execute(MODES).fetchall())["ddl"][0] == "armed"


def test_an_armed_policy_for_critical_ones_is_a_dry_run_from_the_update_on(
    server: Server, site: str, connect: Connect
) -> None:
    """In the release before every root was CRITICAL after five minutes."""
    living = connect(site)
    second = connect(site, user="shop_dba")
    second.execute("SET ROLE lock_admin_role")
    for name, rules in {
        "critical": '"min_severity": "CRITICAL", "min_blocked_seconds": 60',
        "medium at once": '"min_severity": "MEDIUM", "min_blocked_seconds": 1',
        "medium": '"min_severity": "MEDIUM", "min_blocked_seconds": 2',
        "high": '"min_severity": "HIGH", "min_blocked_seconds": 1',
    }.items():
        whole = f'{{"action": "cancel", "user_patterns": ["app_*"], {rules}}}'
        make_and_arm(living, second, name, whole)
    assert install(site).changed
    found = dict(living.execute(MODES).fetchall())
    modes = [found[name][0] for name in ("critical", "medium at once", "medium", "high")]
    assert modes == ["dry_run", "dry_run", "armed", "armed"]
    assert "stop fewer" in found["critical"][1] and "stop more" in found["medium at once"][1]
    arm(second, "critical")
    assert not install(site, again=True).changed
    assert dict(living.execute(MODES).fetchall())["critical"][0] == "armed"


def test_recorded_severities_are_put_right_and_the_alerts_say_so(
    server: Server, site: str, connect: Connect
) -> None:
    """A row keeps how many waited and how long, from which its severity follows now."""
    living = connect(site)
    living.execute(
        """
        WITH few AS (SELECT satellite_id, row_number() OVER (ORDER BY satellite_id) AS n
                        FROM lock_monitoring.blocking_session_s ORDER BY satellite_id LIMIT 6)
        UPDATE lock_monitoring.blocking_session_s AS s
           SET blocking_severity = r.severity, blocked_sessions_count = r.blocked, is_root = r.is_root,
               node = 77, root_nodes = ARRAY[r.root],
               blocking_duration_seconds = r.seconds, hash_diff = sha256(r.severity::bytea || int4send(r.n))
          FROM few JOIN (VALUES (1, 'CRITICAL', 2, true, 400, 77), (2, 'CRITICAL', 300, true, 400, 77),
                                 (3, 'CRITICAL', 30, false, 20, 78), (4, 'LOW', 89, true, 1, 77),
                                 (5, 'LOW', 2, true, 1, 77), (6, 'CRITICAL', 30, false, 20, 77))
                         AS r (n, severity, blocked, is_root, seconds, root) USING (n)
         WHERE s.satellite_id = few.satellite_id
        """
    )
    question = (
        "SELECT satellite_id, blocking_severity, escalation_level FROM lock_monitoring.blocking_session_s"
        " ORDER BY satellite_id LIMIT 6"
    )
    before = living.execute(question).fetchall()
    assert len(before) == 6
    assert install(site).changed
    after = living.execute(question).fetchall()
    assert [row[0] for row in after] == [row[0] for row in before]
    assert [row[1] for row in after] == ["HIGH", "CRITICAL", "HIGH", "MEDIUM", "LOW", "CRITICAL"], (
        "the last is in a ring, its own root"
    )
    assert [after[place][2] for place in (0, 2, 3)] == [2, 2, 1]
    wrong = living.execute(
        "SELECT count(*) FROM lock_monitoring.blocking_session_s"
        " WHERE (blocking_severity = 'CRITICAL' AND (blocked_sessions_count < 3"
        " OR NOT is_root AND node <> ALL (root_nodes)))"
        " OR (blocking_severity = 'LOW' AND blocked_sessions_count >= 10)"
    ).fetchone()
    assert wrong == (0,)
    notes = living.execute(
        "SELECT change_note FROM monitoring.alert_configuration_s"
        " WHERE load_end_date IS NULL AND alert_query LIKE '%blocking_severity%'"
    ).fetchall()
    assert notes and all("severity.md" in note for (note,) in notes)


MODES = (
    "SELECT h.policy_bk, ARRAY[m.mode, m.reason] FROM lock_admin.policy_h AS h"
    " JOIN lock_admin.policy_mode_s AS m USING (policy_hk) WHERE m.load_end_date IS NULL"
)


def make_and_arm(
    editor: psycopg.Connection[Any], second: psycopg.Connection[Any], name: str, rules: str
) -> None:
    """Save a policy, back-test it, and arm it as the second person."""
    editor.execute("SELECT lock_admin.save_policy(%s, %s, 'ann')", [name, rules])
    editor.execute("SELECT lock_admin.backtest_policy(%s)", [name])
    arm(second, name)


def arm(living: psycopg.Connection[Any], name: str) -> None:
    """Arm a policy as the second person."""
    row = living.execute(
        "SELECT accepted, message FROM lock_admin.set_policy_mode(%s, 'armed', 'agreed', 'bob', 2)", [name]
    ).fetchone()
    assert row is not None and row[0], row
