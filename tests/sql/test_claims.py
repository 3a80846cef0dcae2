"""Which tenant a session claims is one rule: in keys and rows, on the stop page, in the live tree."""

from __future__ import annotations

import json
from typing import Any, cast

import psycopg
import pytest

from lockmon.calls import catalog
from tests.conftest import Connect, OpenSession
from tests.support import doors
from tests.support.claims import CLAIMS, NO_PATTERNS, PATTERNS
from tests.support.servers import Server
from tests.support.stored import Stored

CLAIM = "SELECT lock_engine.session_claim(lock_engine.claim_patterns(), %s, %s, %s, %s)"


def have_patterns(dba: psycopg.Connection[Any], *patterns: str) -> None:
    """The site names its tenants so."""
    dba.execute(
        "UPDATE lock_admin.setting SET value = %s WHERE name = 'tenants.claims'", [json.dumps(patterns)]
    )


def test_a_claim_in_an_application_name_is_a_word_of_its_own(vault_db: str, connect: Connect) -> None:
    dba = connect(vault_db)
    for name, claim in CLAIMS.items():
        found = dba.execute("SELECT lock_engine.claimed_tenant(%s)", [name]).fetchone()
        assert found == (claim,), name


def test_whatever_says_a_sessions_tenant_asks_the_rule(vault_db: str, connect: Connect) -> None:
    dba = connect(vault_db)
    assert dba.execute("SELECT lock_engine.claimed_tenant(NULL)").fetchone() == (None,)
    other = connect(vault_db)
    for name in CLAIMS:
        other.execute("SELECT set_config('application_name', %s, false)", [name])
        # as PostgreSQL shows it: what is not printable ASCII it writes otherwise
        kept, claim = dba.execute(
            "SELECT application_name, lock_engine.claimed_tenant(application_name) FROM lock_catalog.sessions"
            " WHERE pid = %s",
            [other.info.backend_pid],
        ).fetchone() or ("", None)
        assert kept != name or claim == CLAIMS[name]
        facts = dba.execute(
            "SELECT lock_admin.session_facts(%s) ->> 'tenant_claim'", [other.info.backend_pid]
        ).fetchone()
        assert facts == (claim,), name
        dba.execute("DELETE FROM lock_engine.tenant_wanted")
        dba.execute("SELECT lock_engine.tenant_of(NULL, %s)", [kept])
        wanted = dba.execute("SELECT claim FROM lock_engine.tenant_wanted").fetchall()
        assert wanted == ([] if claim is None else [(f"t:{claim}",)]), name


@pytest.mark.parametrize(("pattern", "cases"), PATTERNS.items())
def test_a_site_names_its_tenants_by_a_pattern(
    vault_db: str, connect: Connect, pattern: str, cases: dict[str, str | None]
) -> None:
    dba = connect(vault_db)
    have_patterns(dba, pattern)
    place = ["application", "user", "database", "schema"].index(pattern.split(":")[0])
    for name, claim in cases.items():
        given = ["x", "x", "x", "x"]
        given[place] = name
        assert dba.execute(CLAIM, given).fetchone() == (claim,), name


def test_the_first_that_fits_counts_and_the_name_before_all(vault_db: str, connect: Connect) -> None:
    dba = connect(vault_db)
    have_patterns(dba, "schema: t_{tenant}", "user: app_{tenant}")
    assert dba.execute(CLAIM, ["web", "app_one", "db", "t_two"]).fetchone() == ("two",)
    assert dba.execute(CLAIM, ["web", "app_one", "db", None]).fetchone() == ("one",)
    assert dba.execute(CLAIM, ["tenant=three", "app_one", "db", "t_two"]).fetchone() == ("three",)
    assert dba.execute(CLAIM, [None, None, None, None]).fetchone() == (None,)


@pytest.mark.parametrize("value", NO_PATTERNS)
def test_what_is_no_pattern_is_refused_with_a_sentence(
    server: Server, vault_db: str, connect: Connect, value: str
) -> None:
    doors.prepare(server, vault_db)
    keeper = connect(vault_db, user=doors.KEEPER)
    with pytest.raises(psycopg.Error, match=r"is a list of at most 20 such as"):
        keeper.execute("UPDATE lock_admin.setting SET value = %s WHERE name = 'tenants.claims'", [value])
    keeper.execute(
        "UPDATE lock_admin.setting SET value = '[\"user: {tenant}\"]' WHERE name = 'tenants.claims'"
    )


def test_waits_and_episodes_keep_it_and_the_live_tree_shows_it(
    vault_db: str, connect: Connect, session: OpenSession
) -> None:
    dba = connect(vault_db)
    dba.execute("CREATE SCHEMA t_acme; CREATE TABLE t_acme.orders (id int PRIMARY KEY)")
    dba.execute("INSERT INTO t_acme.orders VALUES (1)")
    have_patterns(dba, "schema: t_{tenant}", "application: *-{tenant}")
    holder = session(vault_db, application_name="worker-globex")
    holder.run("SELECT FROM t_acme.orders FOR UPDATE")
    waiter = session(vault_db, application_name="web")
    waiter.start("UPDATE t_acme.orders SET id = 2")
    waiter.wait_blocked()
    with connect(vault_db).cursor() as cursor:
        live = {node.pid: node.tenant_claim for node in catalog.waits_for(cursor)}
    assert live == {holder.pid: "globex", waiter.pid: "acme"}
    stored = Stored(dba)
    dba.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
    waits = "SELECT lock_pid, tenant_claim FROM lock_monitoring.lock_activity_s WHERE NOT lock_granted"
    assert [tuple(row.values()) for row in stored.rows(waits)] == [(waiter.pid, "acme")]
    dashboard = "SELECT session_pid, tenant_claim FROM lock_monitoring.blocking_sessions_dashboard"
    assert dba.execute(dashboard).fetchall() == [(holder.pid, "globex")]
    lost = "SELECT name FROM lock_engine.losses_between(ARRAY['claim'], now() - interval '1 hour', now())"
    assert dba.execute(lost).fetchall() == [("acme",)]


def test_the_live_tree_asks_the_rule_inline(vault_db: str, connect: Connect) -> None:
    """A call for each of 448 sessions would cost the page more than the claim is worth."""
    dba = connect(vault_db)
    asked: list[str] = []

    class Kept(psycopg.Cursor[Any]):
        def execute(self, query: Any, *args: Any, **options: Any) -> Any:
            asked.append(str(query))
            return super().execute(query, *args, **options)

    with Kept(dba) as cursor:
        for asks in (catalog.waits_for, catalog.waits_for_and_plan):
            asks(cast(Any, cursor))
    graphs = [query for query in asked if "waits_for()" in query]
    assert len(graphs) == 2
    for query in graphs:
        plan = "\n".join(line for (line,) in dba.execute("EXPLAIN (VERBOSE, COSTS OFF) " + query))
        assert "session_claim(" in query
        assert "session_claim(" not in plan, plan


def test_while_the_settings_are_locked_the_tree_is_shown_without_patterns(
    vault_db: str, connect: Connect, session: OpenSession
) -> None:
    dba = connect(vault_db)
    have_patterns(dba, "application: {tenant}")
    locker = session(vault_db)
    locker.run("LOCK TABLE lock_admin.setting IN ACCESS EXCLUSIVE MODE")
    assert dba.execute("SELECT lock_engine.claim_patterns()").fetchone() == ([],)
    locker.run("ROLLBACK")
    assert dba.execute("SELECT cardinality(lock_engine.claim_patterns())").fetchone() == (1,)
