"""Pages of policies: rules and their versions, mode, back-test."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import DataError
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from .. import errors, vault, watched_words
from ..calls import door
from ..door_forms import BacktestForm, ModeForm, PolicyForm, initial
from ..groups import ADMINS, CHANGE_SETTINGS, VIEW_PAGES, VIEW_QUERY_TEXT
from ..models.door import Policy, PolicyBacktest, PolicyDecision
from . import words
from .context import VAULT, page
from .figures import watched_between
from .heart import disarmed


def people() -> int:
    """How many persons may arm a policy."""
    users = get_user_model()._default_manager.filter(
        Q(groups__name=ADMINS) | Q(is_superuser=True), is_active=True
    )
    return users.distinct().count()


def _found(name: str) -> Policy:
    policy = Policy.objects.using(VAULT).filter(pk=name).first()
    if policy is None:
        raise Http404("There is no such policy.")
    return policy


def edit(request: HttpRequest, site: AdminSite, name: str | None = None) -> HttpResponse:
    """A new policy, or a new version of one's rules."""
    if not request.user.has_perm(CHANGE_SETTINGS):
        raise PermissionDenied
    title = f"Rules of {name}" if name else "New policy"
    shown = {}
    if name:
        with vault.cursor(VAULT) as cursor:
            shown = initial(door.policy_rules(cursor, _found(name).pk)) | {"policy": name}
    form = PolicyForm(request.POST or None, initial=shown)
    if name:
        form.fields["policy"].disabled = True
    if request.method == "POST" and form.is_valid():
        try:
            with vault.admin_transaction(VAULT) as cursor:
                saved = door.save_policy(
                    cursor, form.cleaned_data["policy"], form.rules(), request.user.get_username()
                )
        except DataError as error:
            form.add_error(None, errors.for_person(error, request.user.has_perm(VIEW_QUERY_TEXT)))
        else:
            messages.success(request, saved.message)
            return HttpResponseRedirect(_address(form.cleaned_data["policy"]))
    return page(request, site, "admin/lockmon/door/policy_form.html", title, form=form, name=name)


def _address(name: str) -> str:
    return reverse("admin:lockmon_policy", args=[name])


def policy(request: HttpRequest, site: AdminSite, name: str) -> HttpResponse:
    """A policy: its rules, its mode, its back-tests and what it decided lately."""
    if not request.user.has_perm(VIEW_PAGES):
        raise PermissionDenied
    may_edit = request.user.has_perm(CHANGE_SETTINGS)
    found = _found(name)
    with vault.cursor(VAULT) as cursor:
        rules = door.policy_rules(cursor, name)
        modes = door.policy_modes(cursor, name)
    why_not = disarmed()
    backtests = list(
        PolicyBacktest.objects.using(VAULT).filter(policy_hk=found.policy_hk).order_by("-ran_at")[:10]
    )
    shares = [watched_between(test.period_from, test.period_to).share for test in backtests]
    decisions = list(
        PolicyDecision.objects.using(VAULT).filter(policy_hk=found.policy_hk).order_by("-decided_at")[:50]
    )
    return page(
        request,
        site,
        "admin/lockmon/door/policy.html",
        f"Policy {name}",
        policy=found,
        disarmed=why_not,
        rules=_told(rules),
        modes=modes,
        backtests=list(zip(backtests, map(watched_words.percent, shares), strict=True)),
        decisions=decisions,
        may_edit=may_edit,
        mode_form=ModeForm(initial={"mode": found.mode}),
        backtest_form=BacktestForm(),
    )


def _told(rules: dict[str, Any]) -> list[tuple[str, str]]:
    """The rules in the form's order and words; what is not said is left out."""
    told = []
    for key, field in PolicyForm.base_fields.items():
        value = rules.get(key)
        if key not in ("policy", "description") and value not in ([], "", None):
            told.append((str(field.label or key.replace("_", " ").capitalize()), _shown(value)))
    return told


def _shown(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)


def set_mode(request: HttpRequest, site: AdminSite, name: str) -> HttpResponse:
    """POST: off, dry run or armed. The database judges; its sentence is shown."""
    if not request.user.has_perm(CHANGE_SETTINGS) or request.method != "POST":
        raise PermissionDenied
    form = ModeForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Nothing was changed: a mode and a reason are needed.")
        return HttpResponseRedirect(_address(name))
    with vault.admin_transaction(VAULT) as cursor:
        changed = door.set_policy_mode(
            cursor,
            name,
            form.cleaned_data["mode"],
            form.cleaned_data["reason"],
            request.user.get_username(),
            people(),
        )
    (messages.success if changed.accepted else messages.error)(request, changed.message)
    return HttpResponseRedirect(_address(name))


def run_backtest(request: HttpRequest, site: AdminSite, name: str) -> HttpResponse:
    """POST: replay the policy over stored history, and show what it would have done."""
    if not request.user.has_perm(CHANGE_SETTINGS) or request.method != "POST":
        raise PermissionDenied
    form = BacktestForm(request.POST)
    if not form.is_valid():
        messages.error(request, "A back-test goes 1 to 366 days back.")
        return HttpResponseRedirect(_address(name))
    since = timezone.now() - timedelta(days=form.cleaned_data["days"])
    try:
        with vault.admin_transaction(VAULT) as cursor:
            number = door.backtest_policy(cursor, name, since, None, request.user.get_username())
    except DataError as error:
        messages.error(request, errors.for_person(error, request.user.has_perm(VIEW_QUERY_TEXT)))
        return HttpResponseRedirect(reverse("admin:lockmon_policy_changelist"))
    return HttpResponseRedirect(reverse("admin:lockmon_backtest", args=[number]))


def backtest(request: HttpRequest, site: AdminSite, number: int) -> HttpResponse:
    """A stored back-test: which sessions, when, what it would have saved."""
    if not request.user.has_perm(VIEW_PAGES):
        raise PermissionDenied
    found = PolicyBacktest.objects.using(VAULT).filter(pk=number).first()
    if found is None:
        raise Http404("There is no such back-test.")
    owner = Policy.objects.using(VAULT).get(policy_hk=found.policy_hk)
    see_text = request.user.has_perm(VIEW_QUERY_TEXT)
    rows = []
    for one in found.results:
        text = one.get("query") or ""
        rows.append(
            {
                **one,
                "at": _moment(one["at"]),
                "ended": _moment(one["ended"]),
                "query": words.one_line(text if see_text else words.hide_literals(text), 120),
            }
        )
    return page(
        request,
        site,
        "admin/lockmon/door/backtest.html",
        f"Back-test {number} of {owner.policy}",
        test=found,
        not_watched=watched_words.sentence(watched_between(found.period_from, found.period_to)),
        policy=owner,
        rows=rows,
    )


def _moment(text: str | None) -> Any:
    return datetime.fromisoformat(text) if text else None
