"""A small read-only JSON API: the tree now and as of a moment, episodes, deadlocks. docs/openapi.yaml
describes it.

Who asks is the person of the bearer token, with that person's permissions: without "can see query texts"
literals are hidden, as on the pages.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from lockmon import vault, watched
from lockmon.calls import behind, catalog, claims, deadlocks
from lockmon.calls.catalog import PlanRow
from lockmon.groups import VIEW_PAGES, VIEW_QUERY_TEXT
from lockmon.logins import token_failed
from lockmon.management.vault_command import database_sentence, plain
from lockmon.models import BlockingSession
from lockmon.models.api_token import ApiToken, digest
from lockmon.standing.causes import WEB, alias_of, kind_of
from lockmon.views import nodes, past, rescue, words
from lockmon.views.episode import lost_seconds

MOST = 1000
TOO_MANY = "Too many wrong tokens from this address: only a right one is answered there for a while."
EPISODE_FIELDS = (
    "session_pid",
    "session_start_time",
    "user_name",
    "application_name",
    "tenant_claim",
    "database_name",
    "client_addr",
    "kind",
    "blocking_severity",
    "blocking_since",
    "blocked_sessions_count",
    "recommended_action",
    "ended_how",
    "ended_at",
)


class BadRequestError(Exception):
    """What was asked cannot be answered; the text is a sentence."""


View = Callable[[HttpRequest, str, bool], Any]


def answer(value: Any, status: int = 200) -> HttpResponse:
    """Return JSON."""
    return HttpResponse(json.dumps(value, default=plain), status=status, content_type="application/json")


def user_of(request: HttpRequest) -> AbstractBaseUser | None:
    """Return the person of the bearer token; None for a token that is unknown, expired, or of somebody
    inactive."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        return None
    found = ApiToken.objects.select_related("user").filter(digest=digest(token.strip())).first()
    if found is None or (found.expires_at is not None and found.expires_at <= timezone.now()):
        return None
    return found.user if found.user.is_active else None


def endpoint(view: View) -> Callable[[HttpRequest], HttpResponse]:
    """Decorator: asks for the token and the permission, picks the vault, turns errors into sentences."""

    @require_safe
    @never_cache
    @wraps(view)
    def checked(request: HttpRequest) -> HttpResponse:
        user: Any = user_of(request)
        if user is None and "Authorization" in request.headers and token_failed(request):
            return answer({"error": TOO_MANY}, 429)
        if user is None:
            response = answer({"error": "A bearer token is needed: manage.py lockmon_token makes one."}, 401)
            response["WWW-Authenticate"] = "Bearer"
            return response
        if not user.has_perm(VIEW_PAGES):
            return answer({"error": f"{user.get_username()} may not see the monitor's pages."}, 403)
        alias = request.GET.get("vault", settings.VAULT_ALIASES[0])
        if alias not in settings.VAULT_ALIASES:
            return answer({"error": f"There is no vault '{alias}'."}, 404)
        try:
            return answer(view(request, alias, user.has_perm(VIEW_QUERY_TEXT)))
        except BadRequestError as error:
            return answer({"error": str(error)}, 400)
        except DatabaseError as error:
            if alias_of(error) == WEB or kind_of(error) != "other":
                raise
            said = database_sentence(error, user.has_perm(VIEW_QUERY_TEXT))
            return answer({"error": said}, 503)

    return checked


def moment(request: HttpRequest, name: str) -> datetime | None:
    """Return a moment out of the query, in ISO 8601 with its offset; None where it is not given."""
    text = request.GET.get(name)
    if text is None:
        return None
    try:
        # a plus sign arrives as a blank where it was not encoded
        value = parse_datetime(text.replace(" ", "+"))
    except ValueError:
        value = None
    if value is None or timezone.is_naive(value):
        raise BadRequestError(f"{name} must be a moment with its offset, such as 2026-11-22T03:12:41Z.")
    return value


def limit(request: HttpRequest) -> int:
    """Return how many rows are asked for, 100 by default."""
    text = request.GET.get("limit", "100")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise BadRequestError(f"limit must be a whole number from 1 to {MOST}.")
    return int(text)


def drawn(graph: Iterable[nodes.Node], plan: Iterable[PlanRow]) -> dict[str, Any]:
    """Return the nodes of a graph and the steps of its plan as JSON takes them."""
    return {
        "nodes": [dataclasses.asdict(node) for node in graph],
        "plan": [dataclasses.asdict(row) for row in plan],
    }


@endpoint
def tree(request: HttpRequest, alias: str, see_text: bool) -> dict[str, Any]:
    """The waits-for graph and its rescue plan: now, or with ``at`` as the monitor knew it at that moment, if
    it was watched."""
    at = moment(request, "at")
    said: dict[str, Any]
    if at is None:
        with vault.cursor(alias) as cursor:
            rows, plan = catalog.waits_for_and_plan(cursor)
        said = {"at": timezone.now(), "as_of": False, "watched": True, "reason": None}
        return said | drawn(nodes.from_live(rows, see_text), plan)
    gap = past.unwatched_at(at, alias)
    if gap is not None:
        lasted = [
            {"pid": one.lock_pid, "backend_start": one.backend_start, "wait_start": one.wait_start}
            for one in past.lasted_through(gap, at, alias)
        ]
        said = {"at": at, "as_of": True, "watched": False, "reason": gap.reason}
        return said | {"nodes": [], "plan": [], "lasted_through": lasted}
    graph = past.rows_at(at, alias).graph(see_text)
    said = {"at": at, "as_of": True, "watched": True, "reason": None}
    return said | drawn(graph, rescue.rows_then(graph, at, alias))


def coverage(alias: str, since: datetime, until: datetime) -> dict[str, Any]:
    """Return what of a period was watched, for an answer that speaks of it."""
    with vault.cursor(alias) as cursor:
        period = watched.read(cursor, since, until)
    gaps = [{"from": one.span_start, "until": one.span_end, "reason": one.reason} for one in period.gaps]
    return {
        "watched": period.share == 1,
        "watched_share": None if period.share is None else float(period.share),
        "not_watched": gaps,
    }


@endpoint
def episodes(request: HttpRequest, alias: str, see_text: bool) -> dict[str, Any]:
    """Blocking episodes by roots, in their last version, latest first."""
    since = moment(request, "since") or timezone.now() - timedelta(days=1)
    until = moment(request, "until") or timezone.now()
    known = BlockingSession.objects.using(alias)
    versions = (
        known.filter(is_root=True, load_date__gte=since, load_date__lte=until)
        .order_by("-satellite_id")
        .values_list("blocking_session_id", "satellite_id")[: limit(request) * 20]
    )
    latest: dict[Any, int] = {}
    for key, satellite in versions:
        latest.setdefault(key, satellite)
    wanted = list(latest.values())[: limit(request)]
    rows = list(known.filter(satellite_id__in=wanted).order_by("-satellite_id"))
    with vault.cursor(alias) as cursor:
        stood = behind.behind_episodes(cursor, [str(row.blocking_session_id) for row in rows])
    waits: dict[str, list[behind.WaitBehind]] = {}
    for one in stood:
        waits.setdefault(one.episode, []).append(one)
    found = [
        {"episode": str(row.blocking_session_id)}
        | {name: getattr(row, name) for name in EPISODE_FIELDS}
        | _lost(waits.get(str(row.blocking_session_id), []))
        | {"query": row.current_query if see_text else words.hide_literals(row.current_query)}
        for row in rows
    ]
    return {"since": since, "until": until, **coverage(alias, since, until), "episodes": found}


def _lost(waits: list[behind.WaitBehind]) -> dict[str, Any]:
    """Return what an episode's waits add up to, as its page says it."""
    lost, unseen = lost_seconds(waits)
    waiting = None if lost is None else len({one.session for one in waits if one.goes_on})
    return {"waiting": waiting, "blocked_seconds": lost, "not_watched_seconds": unseen}


@endpoint
def deadlock_events(request: HttpRequest, alias: str, see_text: bool) -> dict[str, Any]:
    """Deadlocks, latest first."""
    since = moment(request, "since") or timezone.now() - timedelta(days=7)
    with vault.cursor(alias) as cursor:
        found = deadlocks.list_deadlocks(cursor, since, limit(request))
        ledger = deadlocks.ledger(cursor)
        claimed, number = claims.latest(cursor, since, limit(request))
    shown = [
        {
            "deadlock_id": one.deadlock_id,
            "happened_at": one.happened_at,
            "pids": one.pids,
            "users": one.users,
            "victim_pid": one.victim_pid,
            "tables": one.tables,
            "queries": [query if see_text else words.hide_literals(query) for query in one.queries],
            "pattern": one.pattern_hash,
            "times": one.similar,
            "sources": one.sources,
            "suggestion": one.suggestion,
        }
        for one in found
    ]
    accounts = [
        {
            "database": line.database_name,
            "since": line.first_window,
            "counted": line.counted,
            "captured": line.captured,
            "missed": line.missed,
        }
        for line in ledger
    ]
    seen = coverage(alias, since, timezone.now())
    only_claimed = [
        {
            "happened_at": one.happened_at,
            "pid": one.pid,
            "other_pids": one.other_pids,
            "user": one.user,
            "application": one.application,
            "database": one.database,
            "waits_for_proof": one.waiting,
            "why": one.why,
            "query": one.query if see_text else words.hide_literals(one.query),
        }
        for one in claimed
    ]
    return {
        "since": since,
        **seen,
        "deadlocks": shown,
        "ledger": accounts,
        "claimed": {
            "count": min(number, claims.MOST),
            "more": number > claims.MOST,
            "deadlocks": only_claimed,
        },
    }
