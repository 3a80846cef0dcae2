"""Stopping sessions: the confirmation bound to what it showed, and the outcomes beside the predictions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode

from .. import actions, door_words, vault
from ..calls import catalog, door
from ..calls.door import Outcome, SessionFacts
from ..door_forms import StopForm
from ..groups import STOP_SESSION, VIEW_PAGES, VIEW_QUERY_TEXT
from ..models.door import ActionLog
from . import rescue
from .context import VAULT, page

SALT = "lockmon.stop"
VALID_SECONDS = 60
MOST = 20
LIVE = "admin:lockmon_live"


@dataclass(frozen=True)
class Shown:
    """One session as the confirmation page shows it."""

    facts: SessionFacts
    lines: list[tuple[str, str]]


def stop(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """GET: what stopping would do, read afresh. POST: do it, if the form is not older than a minute."""
    if not request.user.has_perm(STOP_SESSION):
        if request.method == "POST":
            _record_denied(request)
        raise PermissionDenied
    return _stop(request, site)


def _stop(request: HttpRequest, site: AdminSite) -> HttpResponse:
    if request.method == "POST":
        targets, stale = _bound(request)
    else:
        targets, stale = _asked(request), ""
    if not targets:
        messages.error(request, stale or "No session was named: choose one in the live tree.")
        return HttpResponseRedirect(reverse(LIVE))

    shown, gone = _look(targets, request)
    confirm = [one.facts.pid for one in shown if one.facts.prediction.severity == "CRITICAL"]
    form = StopForm(request.POST if request.method == "POST" and not stale else None, confirm=confirm)
    if not form.is_bound:
        active = all(one.facts.state == "active" for one in shown)
        asked = request.GET.get("action")
        advised = asked if asked in ("cancel", "terminate") else None
        form.initial = {"action": advised or ("cancel" if active else "terminate")}
        if request.method == "POST":
            form.initial["reason"] = request.POST.get("reason", "")[:2000]
    elif form.is_valid():
        return _carry_out(request, form, targets)
    for sentence in (stale, *gone):
        if sentence:
            messages.warning(request, sentence)
    if not shown:
        return HttpResponseRedirect(reverse(LIVE))
    title = f"Stop pid {shown[0].facts.pid}?" if len(shown) == 1 else f"Stop {len(shown)} sessions?"
    return page(
        request,
        site,
        "admin/lockmon/door/stop.html",
        title,
        shown=shown,
        form=form,
        token=_token([_target(one.facts) for one in shown], request),
        valid_seconds=VALID_SECONDS,
        harmless=any(one.facts.prediction.blocks == 0 for one in shown),
    )


def _carry_out(request: HttpRequest, form: StopForm, targets: list[actions.Target]) -> HttpResponse:
    numbers = []
    for target in targets:
        try:
            outcome: Outcome = actions.stop(
                target,
                form.cleaned_data["action"],
                form.cleaned_data["reason"],
                acting_for=request.user.get_username(),
                origin="admin",
                explicit=form.cleaned_data["explicit"],
                alias=VAULT,
            )
        except actions.NoRightError as error:
            raise PermissionDenied(str(error)) from error
        numbers.append(outcome.action_id)
    return HttpResponseRedirect(
        f"{reverse('admin:lockmon_outcome')}?{urlencode({'action': numbers}, doseq=True)}"
    )


def _asked(request: HttpRequest) -> list[actions.Target]:
    """The sessions that the address names: pairs of pid and backend_start, in order."""
    found = []
    pids, starts = request.GET.getlist("pid"), request.GET.getlist("backend_start")
    for pid, start in list(zip(pids, starts, strict=False))[:MOST]:
        try:
            moment = datetime.fromisoformat(start.replace("Z", "+00:00"))
            found.append(actions.Target(int(pid), moment if moment.tzinfo else moment.astimezone()))
        except ValueError:
            continue
    return [one for one in found if 0 < one.pid < 2**31]


def _look(targets: list[actions.Target], request: HttpRequest) -> tuple[list[Shown], list[str]]:
    shown, gone = [], []
    see_text = request.user.has_perm(VIEW_QUERY_TEXT)
    with vault.cursor(VAULT) as cursor:
        plan = catalog.rescue_plan(cursor)
    for target in targets:
        facts = actions.look(target.pid, VAULT)
        if facts is None:
            gone.append(f"Pid {target.pid} has already ended.")
        elif facts.backend_start != target.backend_start:
            gone.append(
                f"Pid {target.pid} now belongs to another session "
                f"(connected {facts.backend_start:%H:%M:%S}). Nothing was signalled."
            )
        else:
            told = rescue.of_session(plan, facts.pid)
            shown.append(Shown(facts, door_words.lines(facts, see_text, told)))
    return shown, gone


def _target(facts: SessionFacts) -> actions.Target:
    return actions.Target(facts.pid, facts.backend_start, facts.xact_start)


def _token(targets: list[actions.Target], request: HttpRequest) -> str:
    """What the page showed, signed for this person: pid, backend_start and transaction of each session."""
    content = [
        [
            one.pid,
            one.backend_start and one.backend_start.isoformat(),
            one.xact_start and one.xact_start.isoformat(),
        ]
        for one in targets
    ]
    return signing.dumps([request.user.pk, content], salt=SALT)


def _bound(request: HttpRequest) -> tuple[list[actions.Target], str]:
    """The sessions of a posted form, and why it does not count any more, if so."""
    token = request.POST.get("token", "")
    try:
        person, content = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        return [], "The form was not the one this site gave out. Nothing was done."
    if person != request.user.pk:
        return [], "The form was given to somebody else. Nothing was done."
    targets = [actions.Target(pid, _time(start), _time(xact)) for pid, start, xact in content]
    try:
        signing.loads(token, salt=SALT, max_age=VALID_SECONDS)
    except signing.SignatureExpired:
        return targets, f"The page was older than {VALID_SECONDS} s. Nothing was done; look again below."
    return targets, ""


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _record_denied(request: HttpRequest) -> None:
    targets, _ = _bound(request)
    if not targets:
        targets = _asked_of(request.POST)
    for target in targets[:MOST]:
        try:
            actions.record_denied(
                target,
                request.POST.get("action", "")[:20],
                request.POST.get("reason", "")[:2000],
                acting_for=request.user.get_username(),
                origin="admin",
                alias=VAULT,
            )
        except DatabaseError:
            # 403 all the same; the vault does not answer, so that nobody is stopped either
            return


def _asked_of(posted: Any) -> list[actions.Target]:
    pid = str(posted.get("pid", "0"))
    return [actions.Target(int(pid) if pid.isdigit() and len(pid) < 10 else 0, None)]


def outcome(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """What came of some actions, each beside what was predicted."""
    numbers = [
        int(text) for text in request.GET.getlist("action")[:MOST] if text.isdigit() and len(text) < 19
    ]
    return _outcomes(request, site, numbers)


def action(request: HttpRequest, site: AdminSite, number: int) -> HttpResponse:
    """One action, by its number."""
    return _outcomes(request, site, [number])


def _outcomes(request: HttpRequest, site: AdminSite, numbers: list[int]) -> HttpResponse:
    if not request.user.has_perm(VIEW_PAGES):
        raise PermissionDenied
    rows = list(ActionLog.objects.using(VAULT).filter(action_id__in=numbers).order_by("action_id"))
    if any(row.outcome == "still there" and row.later_at is None for row in rows):
        with vault.cursor(VAULT) as cursor:
            door.follow_up(cursor)
        rows = list(ActionLog.objects.using(VAULT).filter(action_id__in=numbers).order_by("action_id"))
    if not rows:
        raise Http404("There is no such action.")
    title = f"Action {rows[0].action_id}" if len(rows) == 1 else "What was done"
    see_text = request.user.has_perm(VIEW_QUERY_TEXT)
    told = [(row, door_words.statement((row.facts or {}).get("query"), see_text)) for row in rows]
    return page(request, site, "admin/lockmon/door/outcome.html", title, rows=told)
