"""The form of an alert, and what people say when they act on an event."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from django import forms
from django.utils import timezone

from lockmon import errors as database_errors
from lockmon.calls.alerts import AlertVersion

from . import channels, lifecycle, messages
from .sandbox import Sandbox

TIMEOUT_SECONDS = 2.0
SNOOZES = [
    ("30", "30 minutes"),
    ("60", "1 hour"),
    ("240", "4 hours"),
    ("720", "12 hours"),
    ("1440", "1 day"),
    ("10080", "1 week"),
]
WIDE = {"class": "vLargeTextField", "rows": 3}
SEVERITIES = [(name, name.capitalize()) for name in ("CRITICAL", "HIGH", "MEDIUM", "LOW")]


class RecipientsField(forms.CharField):
    """Recipients, one a line or separated by commas; cleans to a list."""

    def to_python(self, value: Any) -> Any:
        words = re.split(r"[\s,;]+", str(value or "").strip())
        return list(dict.fromkeys(word for word in words if word))

    def validate(self, value: Any) -> None:
        problems = [problem for problem in map(channels.check_recipient, value) if problem]
        if problems:
            raise forms.ValidationError(problems)


class AlertForm(forms.Form):
    """All that can be edited of an alert. Cleaning runs the query once in the sandbox: ``trial`` says what
    came."""

    alert_name = forms.CharField(
        label="Name", max_length=200, help_text="What people read in a message's subject."
    )
    description = forms.CharField(
        label="What it means and what to do",
        required=False,
        widget=forms.Textarea(attrs=WIDE),
        help_text="Goes into every message. Write what the reader should do.",
    )
    alert_query = forms.CharField(
        label="Query",
        strip=True,
        widget=forms.Textarea(attrs={"class": "vLargeTextField", "rows": 6, "spellcheck": "false"}),
        help_text="One SELECT that returns one row with one number. It runs read-only, for 2 s at most,"
        " and may read the "
        "dashboards of lock_monitoring, lock_catalog.sessions, lock_catalog.locks and the monitor's own"
        " state.",
    )
    warning_threshold = forms.DecimalField(
        label="Warning",
        required=False,
        max_digits=15,
        decimal_places=4,
        help_text="Warning when the value is above this.",
    )
    critical_threshold = forms.DecimalField(
        label="Critical",
        required=False,
        max_digits=15,
        decimal_places=4,
        help_text="Critical when the value reaches this. If it is lower than the warning threshold, low"
        " values are bad.",
    )
    alert_severity = forms.ChoiceField(
        label="Severity", choices=SEVERITIES, help_text="How grave it is; said in the message."
    )
    alert_category = forms.CharField(
        label="Category", max_length=50, initial="LOCK_MONITORING", help_text="For sorting."
    )
    is_active = forms.BooleanField(label="Switched on", required=False, initial=True)
    notification_recipients = RecipientsField(
        label="Recipients",
        required=False,
        widget=forms.Textarea(attrs=WIDE),
        help_text="E-mail addresses, or channel:name for Slack, Teams, PagerDuty, a webhook ... whose"
        " URL is kept in the "
        "environment as LOCKMON_CHANNEL_<NAME>. One a line.",
    )
    for_at_least_seconds = forms.IntegerField(
        label="For at least (seconds)",
        initial=0,
        min_value=0,
        max_value=86400,
        help_text="How long a bad value has to last before anybody hears of it.",
    )
    clear_after_seconds = forms.IntegerField(
        label="Over after (seconds)",
        initial=30,
        min_value=0,
        max_value=86400,
        help_text="How long it has to be well again before it is over. Keeps a flapping value in one event.",
    )
    repeat_minutes = forms.IntegerField(
        label="Remind every (minutes)",
        initial=60,
        min_value=0,
        max_value=10080,
        help_text="While nobody has acknowledged. 0: never.",
    )
    escalate_minutes = forms.IntegerField(
        label="Escalate after (minutes)",
        initial=15,
        min_value=0,
        max_value=10080,
        help_text="When it is critical and nobody has acknowledged. 0: never.",
    )
    escalation_recipients = RecipientsField(
        label="Also told then",
        required=False,
        widget=forms.Textarea(attrs=WIDE),
        help_text="Besides the recipients above.",
    )
    change_note = forms.CharField(
        label="Why this change", required=False, max_length=2000, help_text="Kept in the history."
    )
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    GROUPS = (
        (
            "What is watched",
            (
                "alert_name",
                "description",
                "alert_query",
                "warning_threshold",
                "critical_threshold",
                "is_active",
            ),
        ),
        ("Who hears of it", ("notification_recipients", "alert_severity", "alert_category")),
        (
            "When",
            (
                "for_at_least_seconds",
                "clear_after_seconds",
                "repeat_minutes",
                "escalate_minutes",
                "escalation_recipients",
            ),
        ),
        ("History", ("change_note",)),
    )

    def __init__(self, *args: Any, alias: str = "vault", see_text: bool = False, **kwargs: Any) -> None:
        """see_text: whether this person may see query texts, which an error of the query can quote."""
        super().__init__(*args, **kwargs)
        self.alias, self.see_text = alias, see_text
        self.trial: str = ""
        names = channels.channel_names()
        if names:
            known = ", ".join(f"channel:{name}" for name in names)
            self.fields["notification_recipients"].help_text += f" Configured here: {known}."

    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """Return the fields as the page shows them."""
        return [(title, [self[name] for name in names]) for title, names in self.GROUPS]

    def clean(self) -> dict[str, Any]:
        """Run the query once. A query that gives no number is refused while the alert is switched on."""
        data = super().clean() or self.cleaned_data
        warning, critical = data.get("warning_threshold"), data.get("critical_threshold")
        if (
            warning is None
            and critical is None
            and not {"warning_threshold", "critical_threshold"} & set(self.errors)
        ):
            self.add_error(
                "critical_threshold",
                "Give a warning or a critical threshold: without one it would never speak.",
            )
        query = data.get("alert_query")
        if query:
            value, problem = try_query(self.alias, query, self.see_text)
            if problem is None and value is not None:
                level = lifecycle.level_of(value, warning, critical)
                rule = messages.rule_in_words(warning, critical)
                self.trial = f"The query returns {messages.number(value)} now. That means {level} ({rule})."
            elif data.get("is_active"):
                self.add_error("alert_query", problem or "The query gave no number.")
            else:
                self.trial = (
                    f"There is no number now: {problem} It can be saved because the alert is switched off."
                )
        return data

    def values(self) -> dict[str, Any]:
        """Return the columns to save."""
        return {
            name: value for name, value in self.cleaned_data.items() if name not in ("version", "change_note")
        }


def initial_of(version: AlertVersion) -> dict[str, Any]:
    """Return what the form shows of a version."""
    shown = {name: getattr(version, name) for name in AlertForm.base_fields if hasattr(version, name)}
    for name in ("notification_recipients", "escalation_recipients"):
        shown[name] = "\n".join(shown[name] or ())
    for name in ("warning_threshold", "critical_threshold"):
        if shown[name] is not None:
            shown[name] = (
                f"{shown[name]:f}".rstrip("0").rstrip(".")
                if "." in f"{shown[name]:f}"
                else f"{shown[name]:f}"
            )
    return shown | {"version": version.satellite_id, "change_note": ""}


def try_query(alias: str, query: str, see_text: bool = False) -> tuple[Decimal | None, str | None]:
    """Run a query once in the sandbox; return its value, or the sentence of why there is none.

    see_text: in PostgreSQL's own words, which can quote texts of other sessions.
    """
    sandbox = Sandbox(alias, "alert-form")
    try:
        evaluated = sandbox.evaluate(query, TIMEOUT_SECONDS)
    except psycopg.Error as error:
        return None, f"The query could not be tried: {database_errors.for_person(error, see_text)}"
    finally:
        sandbox.close()
    return evaluated.value, (see_text and evaluated.whole_sentence) or evaluated.sentence


def key_of(name: str) -> bytes:
    """Return the hub key of a new alert: as the guide does it, the hash of a code made from its name."""
    code = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    return hashlib.sha256(f"ALERT_{code or name}".encode()).digest()


class ActForm(forms.Form):
    """What a person says when acting on events."""

    note = forms.CharField(
        label="Note",
        required=False,
        max_length=2000,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="What you know or do about it; kept with your name.",
    )
    minutes = forms.ChoiceField(label="Snooze for", choices=SNOOZES, required=False, initial="60")

    def until(self) -> datetime:
        """Return until when to snooze."""
        return timezone.now() + timedelta(minutes=int(self.cleaned_data.get("minutes") or 60))


class SnoozeForm(forms.Form):
    """For how long an alert is silent."""

    minutes = forms.ChoiceField(label="Silent for", choices=SNOOZES, initial="60")
