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
        living.execute("SELECT lock_admin.save_policy(%s, %s, 'ann')", [name, rules])
        living.execute("SELECT lock_admin.backtest_policy(%s)", [name])
        arm(second, name)
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
        living.execute("SELECT lock_admin.save_policy(%s, %s, 'ann')", [name, rules + more])
        living.execute("SELECT lock_admin.backtest_policy(%s)", [name])
        arm(second, name)
    assert install(site).changed
    found = dict(living.execute(MODES).fetchall())
    assert [found[name][0] for name in ("ddl", "both", "any")] == ["dry_run", "dry_run", "armed"]
    assert "what a session does" in found["ddl"][1] == found["both"][1]
    arm(second, "ddl")
    assert not install(site, again=True).changed
    assert dict(living.execute(MODES).fetchall())["ddl"][0] == "armed"


MODES = (
    "SELECT h.policy_bk, ARRAY[m.mode, m.reason] FROM lock_admin.policy_h AS h"
    " JOIN lock_admin.policy_mode_s AS m USING (policy_hk) WHERE m.load_end_date IS NULL"
)


def arm(living: psycopg.Connection[Any], name: str) -> None:
    """Arm a policy as the second person."""
    row = living.execute(
        "SELECT accepted, message FROM lock_admin.set_policy_mode(%s, 'armed', 'agreed', 'bob', 2)", [name]
    ).fetchone()
    assert row is not None and row[0], row
