"""The page Check: what ``lockmon_check`` says in a terminal, the lines that need somebody first."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from .. import doctor
from ..groups import VIEW_PAGES
from .context import VAULT, needs, page
from .words import some

_GROUPS = (
    (doctor.FAILURE, "Failures", "FAILURE", "▲", "critical"),
    (doctor.WARNING, "Warnings", "WARNING", "■", "high"),
    (doctor.OK, "In order", "ok", "●", "low"),
)


@dataclass(frozen=True)
class Group:
    """The findings of one state; never empty. mark: the state's word; shape and look only repeat it."""

    title: str
    mark: str
    shape: str
    look: str
    findings: tuple[doctor.Finding, ...]


def groups(found: list[doctor.Finding]) -> list[Group]:
    """Return the findings by state, the worst first, each group in the doctor's own order."""
    made = []
    for state, title, mark, shape, look in _GROUPS:
        lines = tuple(finding for finding in found if finding.state == state)
        if lines:
            made.append(Group(title, mark, shape, look, lines))
    return made


def summary(found: list[doctor.Finding]) -> str:
    """Return the last line of ``lockmon_check``: how many lines, failures and warnings."""
    number = {state: sum(line.state == state for line in found) for state in (doctor.FAILURE, doctor.WARNING)}
    failures, warnings = some(number[doctor.FAILURE], "failure"), some(number[doctor.WARNING], "warning")
    return f"{some(len(found), 'line')}: {failures}, {warnings}."


@needs(VIEW_PAGES)
def check(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Examine the installation now. A vault that refuses is a line of its own; nothing is changed."""
    found = doctor.examine(VAULT)
    return page(
        request,
        site,
        "lockmon/check.html",
        "Check",
        groups=groups(found),
        summary=summary(found),
        good=doctor.worst(found) != doctor.FAILURE,
        now=timezone.now(),
    )
