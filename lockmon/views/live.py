"""The live tree, its refreshing fragment, the flat list of waiters, and one session close up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin import AdminSite
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django_tables2 import RequestConfig

from ..calls import catalog
from ..groups import VIEW_PAGES
from ..models import BlockingSession, LockActivity
from ..standing import memory
from ..standing.causes import WEB, Cause, Errors, alias_of, cause_of
from ..tables import WaitersTable
from . import node_words, nodes, rescue, tree, words
from .context import VAULT, fragment, needs, page, rights
from .heart import Heart, broken, read_heart


def look(request: HttpRequest, alias: str = VAULT) -> tuple[list[nodes.Node], datetime]:
    """Return the graph now, with texts as this person may see them, and the moment of it."""
    with connections[alias].cursor() as cursor:
        rows = catalog.waits_for(cursor)
    return _remembered(request, rows, alias)


def look_and_plan(request: HttpRequest, alias: str = VAULT) -> tuple[list[nodes.Node], datetime, rescue.Plan]:
    """Return ``look`` and the rescue plan of that very graph."""
    with connections[alias].cursor() as cursor:
        rows, plan = catalog.waits_for_and_plan(cursor)
    return *_remembered(request, rows, alias), rescue.shown(plan)


def _remembered(
    request: HttpRequest, rows: list[catalog.WaitNode], alias: str
) -> tuple[list[nodes.Node], datetime]:
    now = timezone.now()
    memory.remember(alias, rows, now)
    return nodes.from_live(rows, rights(request).query_text), now


@dataclass(frozen=True)
class Picture:
    """The heart as of ``now``, and the tree of ``at`` with its rescue plan: the present one, or (``old``) the
    one last seen, without a plan.

    tree: None where this process has seen none. left_out: sessions of an old one that are not remembered.
    """

    heart: Heart
    now: datetime
    tree: tree.Tree | None
    at: datetime
    old: bool = False
    left_out: int = 0
    plan: rescue.Plan = rescue.NO_PLAN

    @property
    def context(self) -> dict[str, Any]:
        """What the templates need of it; all ages in an old tree are those of its moment."""
        cause = tree.cause_sentence(self.tree, self.at) if self.tree else ""
        age = (self.now - self.at).total_seconds()
        shown = {"heart": self.heart, "tree": self.tree, "now": self.now, "at": self.at, "cause": cause}
        return shown | {
            "old": self.old,
            "age": round(age, 1),
            "ago": words.duration(age),
            "left_out": self.left_out,
            "rescue": self.plan,
            "begun": memory.BEGUN,
            # what an old tree shows can no more be looked at close up, or stopped
            "past": self.old,
        }


def picture_now(request: HttpRequest, alias: str = VAULT) -> Picture:
    """Return heart and tree; where the vault cannot be read the heart says so, over the tree last seen."""
    try:
        heart = read_heart(alias)
        graph, now, plan = look_and_plan(request, alias)
    except Errors as error:
        if alias_of(error) == WEB:
            raise
        return _last(request, alias, cause_of(error))
    return Picture(heart, now, tree.build(graph, now), now, plan=plan)


def _last(request: HttpRequest, alias: str, cause: Cause) -> Picture:
    now = timezone.now()
    seen = memory.last_tree(alias)
    heart = broken(cause, alias)
    if seen is None:
        return Picture(heart, now, None, now, old=True)
    graph = nodes.from_live(seen.rows, rights(request).query_text)
    return Picture(heart, now, tree.build(graph, seen.at), seen.at, old=True, left_out=seen.left_out)


@needs(VIEW_PAGES)
def live(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The live page: the tree alone, as large as it gets."""
    return page(request, site, "lockmon/live.html", "Live tree", **picture_now(request).context)


@needs(VIEW_PAGES)
def live_fragment(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """What the live page's script puts in its place every two seconds."""
    return fragment(request, "lockmon/_live.html", **picture_now(request).context)


@needs(VIEW_PAGES)
def waiters(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Who waits now: the root blockers, with like waiters folded; ``root`` lists all behind one of them (or
    behind "all"), a line each, sortable."""
    graph, now = look(request)
    behind, chosen = _chosen(request.GET.get("root"), graph)
    rows = [
        {
            "pid": node.pid,
            "application": words.printable_name(node.application_name),
            "user": words.printable_name(node.user_name),
            "waited": words.seconds_between(node.wait_start, now),
            "object": node_words.objects(node.waits) or words.visible(node.object_name, 200),
            "mode": ", ".join(sorted({one.lock_mode or "" for one in node.waits})) or node.lock_mode,
            "behind": node.roots,
            "query": words.one_line(node.query),
            "identity": node.identity,
        }
        for node in chosen
    ]
    table = WaitersTable(rows, order_by="-waited")
    RequestConfig(request, paginate={"per_page": 50}).configure(table)
    return page(
        request,
        site,
        "lockmon/waiters.html",
        "Waiting now",
        table=table,
        number=len(rows),
        now=now,
        behind=behind,
        tree=tree.build(graph, now) if behind is None else None,
    )


def _chosen(root: str | None, graph: list[nodes.Node]) -> tuple[str | None, list[nodes.Node]]:
    """Return whom an address asks for, in words, and the waiters of it; None: the roots, with all folded."""
    waiting = [node for node in graph if node.is_waiting]
    if root == "all":
        return "all root blockers", waiting
    try:
        wanted = int(root or "")
    except ValueError:
        return None, waiting
    name = str(wanted) if wanted >= 0 else f"prepared transaction {-wanted}"
    return name, [node for node in waiting if wanted in node.roots]


@needs(VIEW_PAGES)
def session(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """One session close up: ``node`` and ``backend_start`` name it, so that a reused pid is never taken for
    it."""
    title = "Session"
    try:
        wanted = int(request.GET.get("node", ""))
    except ValueError:
        text = "The address names no session: follow a link from the live tree."
        return page(request, site, "lockmon/message.html", title, status=400, text=text)
    started = _moment(request.GET.get("backend_start"))
    graph, now = look(request)
    found = next((node for node in graph if node.node == wanted), None)
    same = found is not None and (
        started is None or found.backend_start is None or _same(found.backend_start, started)
    )
    behind = [node for node in graph if wanted in node.hard_blockers or wanted in node.soft_blockers]
    held = list(_held(abs(wanted) if wanted < 0 else wanted, found.backend_start if found else started))
    episodes = list(_episodes(wanted, found.backend_start if found and same else started))
    if found is not None and not same:
        text = (
            f"Pid {wanted} now belongs to another session (connected "
            f"{timezone.localtime(found.backend_start):%H:%M:%S})."
        )
        return page(request, site, "lockmon/message.html", f"Session {wanted}", text=text, episodes=episodes)
    if found is None:
        text = f"Session {wanted} neither waits nor blocks anybody now."
        return page(request, site, "lockmon/message.html", f"Session {wanted}", text=text, episodes=episodes)
    whole = tree.build([node for node in graph if node.node == wanted or wanted in _ahead(node, graph)], now)
    line = next((item for item in whole.lines if item.node and item.node.node == wanted), None)
    return page(
        request,
        site,
        "lockmon/session.html",
        found.label if found.pid == 0 else f"{found.label} (pid {found.pid})",
        node=found,
        line=line,
        tree=whole,
        now=now,
        behind=behind,
        held=held,
        episodes=episodes,
        query=words.highlight_sql(found.query),
    )


def _ahead(node: nodes.Node, graph: list[nodes.Node]) -> set[int]:
    by_node = {item.node: item for item in graph}
    seen: set[int] = set()
    step = by_node.get(node.parent) if node.parent is not None else None
    while step is not None and step.node not in seen:
        seen.add(step.node)
        step = by_node.get(step.parent) if step.parent is not None else None
    return seen


def _moment(text: str | None) -> datetime | None:
    try:
        value = parse_datetime(text or "")
    except ValueError:
        return None
    if value is None or timezone.is_aware(value):
        return value
    return timezone.make_aware(value)


def _same(one: datetime, other: datetime) -> bool:
    return abs((one - other).total_seconds()) < 0.001


def _held(pid: int, started: datetime | None) -> list[LockActivity]:
    found = LockActivity.objects.filter(load_end_date=None, lock_pid=pid, lock_granted=True)
    if started is not None:
        found = found.filter(backend_start=started)
    return list(found.order_by("-satellite_id")[:50])


def _episodes(node: int, started: datetime | None) -> list[BlockingSession]:
    if started is None:
        return []
    found = BlockingSession.objects.filter(node=node, session_start_time=started)
    found = found.filter(load_date__gte=started)
    latest: dict[str, BlockingSession] = {}
    for row in found.order_by("-satellite_id")[:200]:
        latest.setdefault(str(row.blocking_session_id), row)
    return list(latest.values())[:10]
