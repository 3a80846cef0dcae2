"""Alerts, their events and messages, as views of the vault show them: no recipients."""

from __future__ import annotations

from typing import Any

from django.db import models

from .base import VaultModel, vault_table
from .fields import BinaryHexField, NumericField

SEVERITIES = [(name, name) for name in ("CRITICAL", "HIGH", "MEDIUM", "LOW")]
LEVELS = [(name, name) for name in ("ok", "warning", "error", "critical")]
STATES = [
    (name, name)
    for name in ("warning", "critical", "error", "escalated", "acknowledged", "snoozed", "resolved")
]


class Alert(VaultModel):
    """One row of monitoring.alert_overview: an alert's present version and how it stands."""

    alert_key = models.TextField(primary_key=True)
    alert_config_hk = BinaryHexField()
    satellite_id = models.BigIntegerField("version")
    alert_name = models.CharField("alert", max_length=200)
    alert_category = models.CharField("category", max_length=50)
    alert_severity = models.CharField("severity", max_length=20, choices=SEVERITIES)
    is_active = models.BooleanField("switched on", null=True)
    description = models.TextField(null=True)
    alert_query = models.TextField("query")
    warning_threshold = NumericField("warning", null=True, max_digits=15, decimal_places=4)
    critical_threshold = NumericField("critical", null=True, max_digits=15, decimal_places=4)
    for_at_least_seconds = models.IntegerField(null=True)
    clear_after_seconds = models.IntegerField(null=True)
    repeat_minutes = models.IntegerField(null=True)
    escalate_minutes = models.IntegerField(null=True)
    snoozed_until = models.DateTimeField(null=True)
    version_since = models.DateTimeField()
    changed_by = models.CharField(max_length=150, null=True)
    state_now = models.TextField("state now")
    level = models.CharField(max_length=20, null=True, choices=LEVELS)
    level_since = models.DateTimeField(null=True)
    pending_level = models.CharField(max_length=20, null=True)
    pending_since = models.DateTimeField(null=True)
    last_value = NumericField(null=True)
    sentence = models.TextField(null=True)
    evaluated_at = models.DateTimeField(null=True)
    evaluation_ms = NumericField(null=True, max_digits=12, decimal_places=3)
    recent = models.JSONField()
    open_event_key = models.TextField(null=True)
    last_fired_at = models.DateTimeField("last fired", null=True)
    events_30_days = models.IntegerField("in 30 days", null=True)
    seen: Any
    """What was watched of the time of ``recent``; set by the list, for all of its charts at once."""

    class Meta(VaultModel.Meta):
        db_table = vault_table("alert_overview", "monitoring")
        verbose_name = "alert"
        verbose_name_plural = "alerts"

    def __str__(self) -> str:
        return self.alert_name


class AlertEvent(VaultModel):
    """One row of monitoring.alert_event_list: an event's present version."""

    event_key = models.TextField(primary_key=True)
    satellite_id = models.BigIntegerField("version")
    alert_key = models.TextField()
    alert_name = models.CharField("alert", max_length=200)
    alert_category = models.CharField("category", max_length=50, null=True)
    alert_severity = models.CharField("severity", max_length=20, null=True, choices=SEVERITIES)
    event_state = models.CharField("state", max_length=20, choices=STATES)
    level = models.CharField(max_length=20, choices=LEVELS)
    worst_level = models.CharField(max_length=20, choices=LEVELS)
    value = NumericField(null=True)
    worst_value = NumericField(null=True)
    sentence = models.TextField(null=True)
    started_at = models.DateTimeField("since")
    raised_at = models.DateTimeField("raised")
    last_notified_at = models.DateTimeField("last told", null=True)
    notification_count = models.IntegerField("times told")
    escalated_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=150, null=True)
    snoozed_until = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField("ended", null=True)
    resolved_by = models.CharField(max_length=150, null=True)
    note = models.TextField(null=True)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=150)
    is_open = models.BooleanField("unresolved")

    class Meta(VaultModel.Meta):
        db_table = vault_table("alert_event_list", "monitoring")
        verbose_name = "alert event"
        verbose_name_plural = "alert events"

    def __str__(self) -> str:
        return f"{self.alert_name}, {self.started_at:%Y-%m-%d %H:%M:%S}"


class AlertEventVersion(VaultModel):
    """One row of monitoring.alert_event_history: one version of an event."""

    satellite_id = models.BigIntegerField(primary_key=True)
    event_key = models.TextField()
    load_date = models.DateTimeField()
    load_end_date = models.DateTimeField(null=True)
    event_state = models.CharField(max_length=20, choices=STATES)
    level = models.CharField(max_length=20, choices=LEVELS)
    value = NumericField(null=True)
    sentence = models.TextField(null=True)
    notification_count = models.IntegerField()
    snoozed_until = models.DateTimeField(null=True)
    note = models.TextField(null=True)
    changed_by = models.CharField(max_length=150)

    class Meta(VaultModel.Meta):
        db_table = vault_table("alert_event_history", "monitoring")
        verbose_name = "version of an alert event"
        verbose_name_plural = "versions of alert events"


class AlertVersion(VaultModel):
    """One row of monitoring.alert_configuration_history: one version of an alert."""

    satellite_id = models.BigIntegerField(primary_key=True)
    alert_key = models.TextField()
    load_date = models.DateTimeField()
    load_end_date = models.DateTimeField(null=True)
    alert_name = models.CharField(max_length=200)
    alert_category = models.CharField(max_length=50)
    alert_query = models.TextField()
    warning_threshold = NumericField(null=True, max_digits=15, decimal_places=4)
    critical_threshold = NumericField(null=True, max_digits=15, decimal_places=4)
    alert_severity = models.CharField(max_length=20, choices=SEVERITIES)
    is_active = models.BooleanField(null=True)
    description = models.TextField(null=True)
    for_at_least_seconds = models.IntegerField(null=True)
    clear_after_seconds = models.IntegerField(null=True)
    repeat_minutes = models.IntegerField(null=True)
    escalate_minutes = models.IntegerField(null=True)
    snoozed_until = models.DateTimeField(null=True)
    recipient_count = models.IntegerField(null=True)
    recipients_changed = models.BooleanField(null=True)
    changed_by = models.CharField(max_length=150, null=True)
    change_note = models.TextField(null=True)
    record_source = models.CharField(max_length=100)

    class Meta(VaultModel.Meta):
        db_table = vault_table("alert_configuration_history", "monitoring")
        verbose_name = "version of an alert"
        verbose_name_plural = "versions of alerts"


class AlertMessage(VaultModel):
    """One row of monitoring.alert_message_list: a message and how its last attempt went."""

    message_id = models.BigIntegerField(primary_key=True)
    event_key = models.TextField(null=True)
    alert_key = models.TextField(null=True)
    kind = models.CharField(max_length=20)
    sent_by = models.TextField()
    state = models.CharField(max_length=20)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    attempts = models.IntegerField()
    sent_at = models.DateTimeField(null=True)
    merged_into = models.BigIntegerField(null=True)
    last_attempt_at = models.DateTimeField(null=True)
    last_outcome = models.CharField(max_length=20, null=True)
    last_sentence = models.TextField(null=True)

    class Meta(VaultModel.Meta):
        db_table = vault_table("alert_message_list", "monitoring")
        verbose_name = "alert message"
        verbose_name_plural = "alert messages"
