"""Making a report: store it for the admin, mail it where recipients are set."""

from __future__ import annotations

import logging

from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from lockmon import vault
from lockmon.calls import home
from lockmon.models.report import PastReport

from . import render
from .figures import Report, gather

log = logging.getLogger("lockmon.report")


def make(alias: str, period: str) -> PastReport:
    """Make, store and send the report of the period that ends now. Raises DatabaseError where the vault is
    not there.

    A mail server that refuses does not lose the report: it is stored, and the log says why it was not sent.
    """
    report = gather(alias, period)
    stored = PastReport.objects.create(
        vault_alias=alias,
        period=period,
        period_start=report.start,
        period_end=report.end,
        title=render.title(report)[:200],
        summary=render.summary(report),
        markdown=render.markdown(report),
        html=render.html(report),
    )
    recipients = [] if _is_copy(alias) else list(settings.REPORT_RECIPIENTS)
    if recipients and _send(report, recipients):
        stored.sent_to = ", ".join(recipients)
        stored.save(update_fields=["sent_to"])
    return stored


def _is_copy(alias: str) -> bool:
    """Whether the vault is a copy: its original tells people, so the report is stored only."""
    with vault.cursor(alias) as cursor:
        return home.disarmed_because(cursor) is not None


def _send(report: Report, recipients: list[str]) -> bool:
    mail = EmailMultiAlternatives(render.title(report), render.markdown(report), to=recipients)
    mail.attach_alternative(render.html(report), "text/html")
    try:
        return bool(mail.send())
    except OSError as error:
        log.error("The report could not be sent: %s", error)
        return False
