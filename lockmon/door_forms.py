"""Forms of the door's pages: stopping sessions, and the rules of a policy."""

from __future__ import annotations

import json
from typing import Any

from django import forms

from lockmon.views import words

PID_MISSING = "Type the pid of the session to confirm."
LISTS = (
    "user_patterns",
    "application_patterns",
    "database_patterns",
    "tenant_patterns",
    "relation_patterns",
    "protected_users",
)
WINDOWS = ("time_windows", "pause_windows", "protected_applications")
KINDS = tuple(
    (kind, words.KINDS[kind])
    for kind in (
        "idle_in_transaction",
        "idle_in_transaction_aborted",
        "idle_session_lock",
        "advisory_lock",
        "active",
        "long_query",
        "running_ddl",
        "holds_table_lock",
        "maintenance",
        "client_not_reading",
        "client_not_sending",
    )
)
"""What a policy may stop (automatic in lock_engine.blocker_kinds()), as the form says it."""


class StopForm(forms.Form):
    """What a person says before a session is stopped. `confirm` lists the pids that have to be typed."""

    action = forms.ChoiceField(
        choices=[("cancel", "Cancel the statement"), ("terminate", "Terminate the session")],
        widget=forms.RadioSelect,
    )
    reason = forms.CharField(
        max_length=2000,
        widget=forms.TextInput(attrs={"size": 70, "autocomplete": "off"}),
        error_messages={"required": "A reason is needed; it goes on the record."},
    )
    typed = forms.CharField(
        required=False,
        label="Type the pid to confirm",
        widget=forms.TextInput(attrs={"size": 12, "autocomplete": "off"}),
    )
    explicit = forms.BooleanField(required=False, label="Stop it also if it blocks nobody by then")

    def __init__(self, *args: Any, confirm: list[int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.confirm = confirm or []
        if not self.confirm:
            del self.fields["typed"]

    def clean_typed(self) -> str:
        typed = str(self.cleaned_data["typed"])
        if sorted(typed.replace(",", " ").split()) != sorted(str(pid) for pid in self.confirm):
            raise forms.ValidationError(PID_MISSING)
        return typed


class ModeForm(forms.Form):
    """Off, dry run or armed, and why."""

    mode = forms.ChoiceField(choices=[("off", "off"), ("dry_run", "dry run"), ("armed", "armed")])
    reason = forms.CharField(max_length=2000, widget=forms.TextInput(attrs={"size": 60}))


class BacktestForm(forms.Form):
    """How far back to replay."""

    days = forms.IntegerField(min_value=1, max_value=366, initial=7)


def _lines(label: str, text: str) -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": 2, "cols": 60})
    return forms.CharField(required=False, label=label, help_text=text, widget=widget)


class PolicyForm(forms.Form):
    """The rules of a policy (lock_admin.policy_s). Lists have one pattern a line, * stands for anything."""

    policy = forms.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,99}$",
        label="Name",
        error_messages={"invalid": "1 to 100 letters, digits, blanks, dots, dashes or underscores."},
    )
    description = forms.CharField(required=False, widget=forms.TextInput(attrs={"size": 70}))
    action = forms.ChoiceField(
        choices=[
            ("cancel_then_terminate", "cancel, and terminate after the grace period"),
            ("cancel", "cancel statements only"),
            ("terminate", "terminate at once"),
        ]
    )
    min_severity = forms.ChoiceField(
        choices=[(name, name) for name in ("CRITICAL", "HIGH", "MEDIUM", "LOW")],
        initial="HIGH",
        label="Least severity",
    )
    min_blocked_seconds = forms.DecimalField(
        min_value=1,
        initial=300,
        label="Least wait (seconds)",
        help_text="How long somebody has waited behind it.",
    )
    min_blocked_sessions = forms.IntegerField(
        min_value=1, initial=1, label="Least number of sessions behind it"
    )
    kinds = forms.MultipleChoiceField(
        required=False,
        choices=KINDS,
        widget=forms.CheckboxSelectMultiple,
        help_text="None ticked: any of them.",
    )
    user_patterns = _lines("Users", "One a line, * stands for anything. Empty: any user.")
    application_patterns = _lines("Applications", "Only together with users: an application name is a claim.")
    database_patterns = _lines("Databases", "Empty: any database.")
    tenant_patterns = _lines("Tenants", "Business keys, only together with users: a tenant tag is a claim.")
    relation_patterns = _lines("Relations", "schema.table that is waited for. Empty: any.")
    time_windows = _lines(
        "Only within", '[{"days": [1,2,3,4,5], "from": "08:00", "to": "18:00", "zone": "UTC"}]'
    )
    pause_windows = _lines("Never within (maintenance)", "The same form.")
    protected_users = _lines("Protected users", "Besides those of setting door.protected_users.")
    protected_applications = _lines("Protected applications", '[{"application": "etl*", "user": "batch"}]')
    max_per_hour = forms.IntegerField(
        min_value=1, max_value=1000, initial=5, label="Stops in an hour, at most"
    )
    max_per_run = forms.IntegerField(min_value=1, max_value=5, initial=1, label="Stops in one run, at most")
    grace_seconds = forms.DecimalField(
        min_value=0, max_value=3600, initial=10, label="Grace after a cancel (seconds)"
    )
    breaker_failures = forms.IntegerField(
        min_value=1, max_value=100, initial=3, label="Disarm after so many stops in a row that did not help"
    )
    breaker_minutes = forms.IntegerField(
        min_value=1,
        max_value=1440,
        initial=5,
        label="It did not help if the same is in the way again within (minutes)",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for name in LISTS:
            cleaned[name] = [line.strip() for line in cleaned.get(name, "").splitlines() if line.strip()]
        for name in WINDOWS:
            try:
                cleaned[name] = json.loads(cleaned.get(name) or "[]")
                if not isinstance(cleaned[name], list):
                    raise ValueError
            except ValueError:
                self.add_error(name, "This has to be a JSON list like the one below the field.")
        return cleaned

    def rules(self) -> dict[str, Any]:
        """The rules as lock_admin.save_policy() takes them."""
        rules = {name: value for name, value in self.cleaned_data.items() if name != "policy"}
        for name in ("min_blocked_seconds", "grace_seconds"):
            rules[name] = float(rules[name])
        return rules


def initial(rules: dict[str, Any]) -> dict[str, Any]:
    """What the form shows for stored rules."""
    shown = {name: rules[name] for name in PolicyForm.base_fields if name in rules}
    for name in LISTS:
        shown[name] = "\n".join(rules.get(name) or ())
    for name in WINDOWS:
        shown[name] = json.dumps(rules.get(name) or [])
    return shown
