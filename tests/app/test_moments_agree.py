"""Whoever is asked about one stored moment says the same: who waits, behind which roots, for how long; and
once it is over, what it cost.

The truth is pg_blocking_pids() at each look; sums are reckoned from it and from when the stored waits began
and ended.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections
from django.test import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from lockmon.calls import catalog, losses, report
from lockmon.views import nodes, past
from tests.conftest import Connect
from tests.support import vaults
from tests.support.moments import Scene, Truth, scene
from tests.support.people import browser, use_app_login
from tests.support.servers import Server, throwaway
from tests.support.stored import Stored
from tests.support.watching import watched_since

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

SMALL = range(8)
MANY = range(100, 150)
EXACT = 0.002
"""Seconds that sums of microseconds may differ by."""


class Asking:
    """A reader of pages, API and metrics."""

    def __init__(self) -> None:
        self.client = browser("dba")
        out = io.StringIO()
        User.objects.create_superuser("machine")
        call_command("lockmon_token", "machine", "moments", stdout=out)
        self.token = out.getvalue().strip()

    def page(self, path: str) -> str:
        answer = self.client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.content.decode()

    def api(self, path: str, **given: str) -> Any:
        answer = Client().get(path, given, headers={"Authorization": f"Bearer {self.token}"})
        assert answer.status_code == 200, answer.content
        return json.loads(answer.content)

    def metrics(self) -> dict[str, float]:
        """Sums over the labels of each family."""
        text = Client().get("/metrics").content.decode()
        return {
            family.name: sum(sample.value for sample in family.samples)
            for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        }


def iso(at: datetime) -> str:
    return at.isoformat()


def seconds_of(found: dict[Any, float]) -> Any:
    return pytest.approx(found, abs=EXACT)


def now(stored: Stored) -> datetime:
    moment: datetime = stored.value("SELECT clock_timestamp()")
    return moment


def waited(scene: Scene, truth: Truth, at: datetime) -> dict[int, float]:
    """What those who stand behind each blocker have waited by a moment, added up."""
    starts = {
        row["lock_pid"]: row["wait_start"]
        for row in scene.stored.rows(
            "SELECT lock_pid, wait_start FROM lock_monitoring.lock_activity_s"
            " WHERE NOT lock_granted AND load_end_date IS NULL"
        )
    }
    for pid, began in truth.starts.items():
        assert starts[pid] == began
    return {
        node: sum((at - starts[pid]).total_seconds() for pid in behind)
        for node, behind in truth.behind.items()
    }


def same_graph(found: list[Any], truth: Truth, name: str) -> dict[int, int]:
    """Waiters, roots, and how many stand behind each: nodes of the live graph, the past one or the API.

    Returns how many stand behind each blocker. One that waits itself has not those behind it who wait for
    the same in the same mode: they are of one queue, and wait for what it waits for.
    """

    def get(node: Any, field: str) -> Any:
        return node[field] if isinstance(node, dict) else getattr(node, field)

    assert {get(n, "node") for n in found if get(n, "is_waiting")} == truth.waiters, name
    assert {get(n, "node") for n in found if get(n, "is_root")} == truth.roots, name
    told = {get(n, "node"): get(n, "blocked_total") for n in found if get(n, "blocked_total")}
    assert {n: told[n] for n in truth.roots} == {n: len(truth.behind[n]) for n in truth.roots}, name
    assert all(number <= len(truth.behind[node]) for node, number in told.items()), name
    behind = {n: {w for w in truth.waiters if n in truth.ahead(w)} for n in truth.roots}
    said: dict[int, set[int]] = {}
    for node in found:
        for root in get(node, "roots"):
            said.setdefault(root, set()).add(get(node, "node"))
    assert said == behind, name
    return told


def frozen(scene: Scene, asking: Asking) -> None:
    """Ask every place about the moment of the last look, while nothing moves."""
    truth, stored = scene.truths[-1], scene.stored
    kinds, since = {}, {}
    # now: what goes on is told as of the asking, which is between two readings of the clock
    begun = now(stored)
    with connections["vault"].cursor() as cursor:
        live = nodes.from_live(catalog.waits_for(cursor), True)
    least, most = waited(scene, truth, begun), waited(scene, truth, now(stored))
    numbers = same_graph(live, truth, "live tree")
    for node in live:
        if node.blocked_total:
            kinds[node.node] = node.kind
            since[node.node] = node.blocking_since
        if node.is_root:
            assert least[node.node] - EXACT <= (node.blocked_seconds or 0) <= most[node.node] + EXACT
    assert same_graph(asking.api("/api/tree")["nodes"], truth, "API, now") == numbers
    list_page = asking.page("/admin/monitor/waiters/?root=all")
    said = re.search(r"(\d+) sessions? waits? behind all root blockers", list_page)
    assert said and int(said[1]) == len(truth.waiters)

    # the stored moment
    at = max(truth.at, stored.value("SELECT max(load_date) FROM lock_monitoring.lock_activity_s"))
    lost = waited(scene, truth, at)
    then = past.at_moment(at, True)
    assert then.watched and then.tree.waiting == len(truth.waiters)
    assert {root.node.node for root in then.tree.root_lines} == truth.roots
    assert {root.node.node: root.behind for root in then.tree.root_lines} == {
        node: len(truth.behind[node]) for node in truth.roots
    }
    assert {root.node.node: root.node.blocking_since for root in then.tree.root_lines} == {
        node: since[node] for node in truth.roots
    }
    assert {root.node.node: root.lost for root in then.tree.root_lines} == seconds_of(
        {node: lost[node] for node in truth.roots}
    )
    told = asking.api("/api/tree", at=iso(at))["nodes"]
    assert same_graph(told, truth, "API, as of the moment") == numbers
    assert {n["node"]: n["blocked_seconds"] for n in told if n["is_root"]} == seconds_of(
        {node: lost[node] for node in truth.roots}
    )
    assert {n["node"]: n["kind"] for n in told if n["blocked_total"]} == kinds
    assert {n["node"]: n["severity"] for n in told if n["is_root"]} == {
        node: stored.value(
            "SELECT lock_engine.severity(%s, extract(epoch FROM %s - %s)::numeric)",
            len(truth.behind[node]),
            at,
            since[node],
        )
        for node in truth.roots
    }
    shown = asking.page(f"/admin/monitor/time/?at={iso(at).replace('+', '%2B')}")
    assert f"{len(truth.waiters):,}" in shown

    # the vault's own views, and metrics
    dashboard = stored.rows("SELECT * FROM lock_monitoring.blocking_sessions_dashboard")
    assert {row["node"] for row in dashboard if row["is_root"]} == truth.roots
    assert {row["node"]: row["blocked_sessions_count"] for row in dashboard} == numbers
    assert {row["node"]: row["kind"] for row in dashboard} == kinds
    assert {row["node"]: row["blocking_since"] for row in dashboard} == since
    begun = now(stored)
    scores = {
        row["node"]: float(row["blocking_impact_score"])
        for row in stored.rows("SELECT * FROM lock_monitoring.blocking_sessions_dashboard WHERE is_root")
    }
    least, most = waited(scene, truth, begun), waited(scene, truth, now(stored))
    for node, score in scores.items():
        # told to a tenth of a second
        assert least[node] - 0.051 <= score <= most[node] + 0.051
    begun = now(stored)
    figures = asking.metrics()
    before, after = all_waits(scene, begun), all_waits(scene, now(stored))
    assert figures["lockmon_waiting_sessions"] == figures["lockmon_waits"] == len(truth.waiters)
    assert figures["lockmon_root_blockers"] == len(truth.roots)
    assert figures["lockmon_blocking_sessions"] == len(numbers)
    assert before - EXACT <= figures["lockmon_blocked_seconds"] <= after + EXACT
    sums(scene, asking, at)
    episodes_now(scene, asking, truth)


def all_waits(scene: Scene, at: datetime) -> float:
    return float(
        scene.stored.value(
            "SELECT coalesce(sum(extract(epoch FROM %s - wait_start)), 0)"
            " FROM lock_monitoring.lock_activity_s WHERE NOT lock_granted AND load_end_date IS NULL",
            at,
        )
    )


def by_name(scene: Scene, lost: dict[int, float]) -> dict[str, float]:
    """Of the sessions that had a name of their own."""
    return {
        scene.apps[node]: seconds
        for node, seconds in lost.items()
        if scene.apps.get(node, "").startswith("root")
    }


def sums(scene: Scene, asking: Asking, until: datetime) -> None:
    """What the past up to a moment cost: insight's figures, the report's and the analysis's."""
    since = until - timedelta(hours=1)
    names = by_name(scene, scene.lost(until))
    with connections["vault"].cursor() as cursor:
        insight = {
            one.name: one.seconds
            for one in losses.losses_between(cursor, ["application"], since, until, 1000)
            if (one.name or "").startswith("root") and one.seconds
        }
        report.TOP, top = 1000, report.TOP
        reported = {
            one.name: one.waited
            for one in report.blockers(cursor, since, until)
            if one.name.startswith("root") and one.waited
        }
        # asked for piece by piece it is the same, and no wait counts twice
        lately = until - timedelta(seconds=40)
        at_once = report.blockers(cursor, lately, until)
        pieces = report.blockers(cursor, lately, until, timedelta(seconds=2.3))
        assert {one.name: one.waits for one in pieces} == {one.name: one.waits for one in at_once}
        assert {one.name: one.waited for one in pieces} == pytest.approx(
            {one.name: one.waited for one in at_once}, abs=0.001
        )
        report.TOP = top
        (everything,) = losses.losses_between(cursor, ["all"], since, until)
        totals = report.totals(cursor, since, until)
        days = report.shares(cursor, "day", since, until)
        sufferers = report.shares(cursor, "sufferer", since, until, 100)
        relations = losses.losses_between(cursor, ["relation"], since, until, 100)
    assert insight == seconds_of(names), "insight"
    assert reported == seconds_of(names), "report"
    whole = sum(
        max(0.0, ((min(row_end(row) or until, until)) - begin).total_seconds())
        for rows in scene.waits().values()
        for row, begin in versions(rows)
    )
    for name, seconds in (
        ("insight", everything.seconds),
        ("report", totals.waited),
        ("by day", sum(one.waited for one in days)),
        ("by sufferer", sum(one.waited for one in sufferers)),
        ("by relation", sum(one.seconds for one in relations)),
    ):
        assert seconds == pytest.approx(whole, abs=0.01), name


def row_end(row: Any) -> datetime | None:
    end: datetime | None = row["log_end_at"] or row["last_seen_at"] or row["load_end_date"]
    return end


def versions(rows: list[Any]) -> Iterator[tuple[Any, datetime]]:
    """Each version with the moment from which it counts: the first since the wait began."""
    for row in rows:
        goes_on = any(
            one["lock_activity_hk"] == row["lock_activity_hk"]
            and one["load_end_date"] == row["load_date"]
            and one["not_seen_at"] is None
            for one in rows
        )
        yield row, row["load_date"] if goes_on else min(row["wait_start"], row["load_date"])


def keys(scene: Scene) -> dict[int, list[str]]:
    """The episodes of each blocker."""
    found: dict[int, list[str]] = {}
    for row in scene.stored.rows(
        "SELECT DISTINCT node, encode(blocking_session_hk, 'hex') AS key"
        " FROM lock_monitoring.blocking_session_s"
    ):
        found.setdefault(row["node"], []).append(row["key"])
    return found


def told_in(scene: Scene, asking: Asking) -> dict[str, dict[str, Any]]:
    """The API's episodes by key."""
    told = asking.api("/api/episodes", limit="1000")["episodes"]
    return {one["episode"]: one for one in told}


def episodes_now(scene: Scene, asking: Asking, truth: Truth) -> None:
    """Open episodes: as many wait behind each as do."""
    told = told_in(scene, asking)
    open_ones = {one["session_pid"]: one for one in told.values() if one["ended_how"] is None}
    for node in truth.roots:
        if node > 0:
            assert open_ones[node]["waiting"] == len(truth.behind[node]), node


def ended(scene: Scene, asking: Asking) -> None:
    """Nobody waits any more, anywhere; and all say what it cost."""
    stored = scene.stored
    assert not scene.truths[-1].waiters
    at = now(stored)
    assert past.at_moment(at, True).is_empty
    assert asking.api("/api/tree")["nodes"] == asking.api("/api/tree", at=iso(at))["nodes"] == []
    figures = asking.metrics()
    for name in ("waiting_sessions", "root_blockers", "blocking_sessions", "blocked_seconds"):
        assert figures[f"lockmon_{name}"] == 0, name
    lost = scene.lost(at)
    told = told_in(scene, asking)
    assert told and all(one["waiting"] == 0 and one["ended_how"] for one in told.values())
    for node, episodes in keys(scene).items():
        behind = stored.rows(
            "SELECT coalesce(sum(seconds), 0) AS s, bool_or(goes_on) AS on FROM lock_engine.behind_episodes("
            "ARRAY(SELECT decode(k, 'hex') FROM unnest(%s::text[]) AS u (k)))",
            episodes,
        )[0]
        assert behind["on"] is not True
        if all(key in told for key in episodes):
            said = sum(told[key]["blocked_seconds"] for key in episodes)
            assert said == pytest.approx(behind["s"], abs=EXACT), node
        if not any(node in look.blockers and node in look.behind for look in scene.truths):
            assert behind["s"] == pytest.approx(lost.get(node, 0), abs=EXACT), node
    for key in scene.chance.sample(sorted(told), min(6, len(told))):
        page = asking.page(f"/admin/monitor/episode/{key}/")
        assert "still waiting" not in page, key
        assert "it has been blocking" not in page
    sums(scene, asking, at)
    stored.rows("SELECT * FROM lock_monitoring.analyze_lock_waits(NULL, 1)")
    kept = stored.one("SELECT * FROM lock_monitoring.lock_wait_analysis_s")
    with connections["vault"].cursor() as cursor:
        (everything,) = losses.losses_between(cursor, ["all"], at - timedelta(hours=1), at)
    assert float(kept["blocked_seconds"]) == pytest.approx(everything.seconds, abs=0.01)


def play(dsn: str, stored: Stored, seed: int, waiters: int, turns: int = 2) -> None:
    """One scene from its beginning to its end."""
    print(f"seed {seed}, {waiters} waiters")
    stored.read_no_log()
    watched_since(dsn, timedelta(days=2))
    asking = Asking()
    with scene(dsn, stored, seed) as made:
        made.build(waiters)
        made.look()
        frozen(made, asking)
        for _ in range(turns):
            churn(made)
            made.look()
            frozen(made, asking)
        made.end()
        ended(made, asking)


def churn(scene: Scene) -> None:
    """Some leave, as many come, a root ends; and what follows from that has happened."""
    truth = scene.truth()
    for pid in scene.chance.sample(sorted(truth.waiters), min(2, len(truth.waiters))):
        scene.cancel(pid)
    scene.settle()
    truth = scene.truth()
    if truth.roots:
        scene.release(scene.chance.choice(sorted(truth.roots)))
        scene.settle()
    scene.queue(2)
    scene.look()
    scene.replace_oldest()


@pytest.mark.parametrize("seed", SMALL)
def test_all_places_say_the_same_of_a_small_scene(vault_db: str, connect: Connect, seed: int) -> None:
    use_app_login()
    play(vault_db, Stored(connect(vault_db)), seed, 5 + seed * 4)


@pytest.fixture(scope="module")
def large() -> Iterator[Server]:
    """A server that takes 400 waiters and what blocks them."""
    with throwaway({"max_connections": "560", "max_prepared_transactions": "5"}) as server:
        yield server


@pytest.fixture
def roomy(large: Server) -> Iterator[str]:
    """A fresh vault there; the alias leads to it."""
    name = large.create_database()
    vaults.install(large.dsn(name))
    settings = dict(connections["vault"].settings_dict)
    vaults.point_alias("vault", large, name, vaults.APP_LOGIN)
    yield large.dsn(name)
    connections["vault"].close()
    connections["vault"].settings_dict.update(settings)
    large.drop_database(name)


@pytest.mark.slow
def test_all_places_say_the_same_of_four_hundred(roomy: str, connect: Connect) -> None:
    use_app_login()
    play(roomy, Stored(connect(roomy)), 400, 400, turns=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", MANY)
def test_all_places_say_the_same_of_fifty_scenes(roomy: str, connect: Connect, seed: int) -> None:
    use_app_login()
    play(roomy, Stored(connect(roomy)), seed, 5 + (seed - 100) * 395 // 49)
