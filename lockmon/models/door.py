"""The door's log and the policies, as views and tables of the vault show them."""

from __future__ import annotations

from django.db import models

from .base import VaultModel, vault_table
from .fields import BinaryHexField, NumericField

OUTCOMES = [
    (name, name)
    for name in (
        "terminated",
        "cancelled",
        "already gone",
        "refused",
        "not permitted",
        "still there",
        "not carried out",
        "unknown",
    )
]
ORIGINS = [(name, name) for name in ("admin", "command", "sql", "policy", "auto_resolve")]
ACTIONS = [(name, name) for name in ("cancel", "terminate")]
MODES = [("off", "off"), ("dry_run", "dry run"), ("armed", "armed")]


class ActionLog(VaultModel):
    """One row of lock_admin.action_history: an action asked of the door, and what came of it."""

    action_id = models.BigIntegerField("number", primary_key=True)
    requested_at = models.DateTimeField("asked at")
    logged_by = models.TextField("login")
    acting_for = models.TextField("for", null=True)
    origin = models.TextField(choices=ORIGINS)
    policy_hk = BinaryHexField(null=True)
    policy_version = models.IntegerField(null=True)
    action = models.TextField(null=True, choices=ACTIONS)
    target_pid = models.IntegerField("pid", null=True)
    target_backend_start = models.DateTimeField("connected", null=True)
    target_xact_start = models.DateTimeField("transaction", null=True)
    target_user = models.TextField("user", null=True)
    target_application = models.TextField("application", null=True)
    database_name = models.TextField("database", null=True)
    explicit = models.BooleanField("also if it blocks nobody", null=True)
    reason = models.TextField(null=True)
    facts = models.JSONField(null=True)
    prediction = models.JSONField(null=True)
    predicted_freed = models.IntegerField(null=True)
    blocked_at_request = models.IntegerField("behind it", null=True)
    signalled_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    outcome = models.TextField(choices=OUTCOMES)
    code = models.TextField(null=True)
    message = models.TextField(null=True)
    waited_ms = NumericField("gone after (ms)", null=True)
    recovery_ms = NumericField("time to recovery (ms)", null=True)
    comparison = models.JSONField(null=True)
    later_at = models.DateTimeField(null=True)
    later_message = models.TextField(null=True)
    policy = models.TextField(null=True)

    class Meta(VaultModel.Meta):
        db_table = vault_table("action_history", "lock_admin")
        verbose_name = "action"
        verbose_name_plural = "actions"

    def __str__(self) -> str:
        return f"action {self.action_id}"


class Policy(VaultModel):
    """One row of lock_admin.policy_overview: a policy's present rules and mode."""

    policy = models.TextField(primary_key=True)
    version = models.IntegerField()
    mode = models.TextField(choices=MODES)
    mode_since = models.DateTimeField()
    mode_reason = models.TextField("why")
    mode_by = models.TextField("by")
    by_breaker = models.BooleanField("by its circuit breaker")
    evidence = models.TextField(null=True)
    description = models.TextField()
    action = models.TextField()
    min_severity = models.TextField()
    min_blocked_seconds = NumericField()
    min_blocked_sessions = models.IntegerField()
    max_per_hour = models.IntegerField()
    edited_by = models.TextField()
    edited_at = models.DateTimeField()
    policy_hk = BinaryHexField()
    stops_24h = models.BigIntegerField("stopped in 24 h")
    would_stop_24h = models.BigIntegerField("would have stopped in 24 h")

    class Meta(VaultModel.Meta):
        db_table = vault_table("policy_overview", "lock_admin")
        verbose_name = "policy"
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return self.policy


class PolicyDecision(VaultModel):
    """What a policy decided about a session: would act, spared, or acted."""

    decision_id = models.BigIntegerField(primary_key=True)
    policy_hk = BinaryHexField()
    version = models.IntegerField()
    mode = models.TextField()
    decided_at = models.DateTimeField()
    pid = models.IntegerField()
    backend_start = models.DateTimeField()
    xact_start = models.DateTimeField(null=True)
    decision = models.TextField()
    why = models.TextField()
    severity = models.TextField(null=True)
    blocked_total = models.IntegerField(null=True)
    blocked_for_seconds = NumericField(null=True)
    action_id = models.BigIntegerField(null=True)
    facts = models.JSONField(null=True)

    class Meta(VaultModel.Meta):
        db_table = vault_table("policy_decision", "lock_admin")


class PolicyBacktest(VaultModel):
    """A replay of a policy over the stored history."""

    backtest_id = models.BigIntegerField(primary_key=True)
    policy_hk = BinaryHexField()
    version = models.IntegerField()
    ran_at = models.DateTimeField()
    ran_by = models.TextField()
    period_from = models.DateTimeField()
    period_to = models.DateTimeField()
    episodes = models.IntegerField()
    stops = models.IntegerField()
    saved_seconds = NumericField()
    ended_soon_anyway = models.IntegerField()
    held_back_by_limit = models.IntegerField()
    results = models.JSONField()
    watched_share = NumericField(null=True)
    freed_at_once = models.IntegerField(null=True)
    frees_nobody = models.IntegerField(null=True)
    effect_not_known = models.IntegerField(null=True)

    class Meta(VaultModel.Meta):
        db_table = vault_table("policy_backtest", "lock_admin")
