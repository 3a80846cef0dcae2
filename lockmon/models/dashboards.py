"""The four published dashboard views."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from .base import VaultModel, vault_table
from .fields import NumericField


class LockActivityDashboard(VaultModel):
    """One row of lock_monitoring.lock_activity_dashboard: open locks by type, mode and relation."""

    pk = models.CompositePrimaryKey("lock_type", "lock_mode", "schema_name", "table_name", "relation_name")
    lock_type = models.CharField(max_length=50)
    lock_mode = models.CharField(max_length=50)
    relation_name = models.CharField(max_length=200)
    schema_name = models.CharField(max_length=100)
    table_name = models.CharField(max_length=100)
    lock_count = models.BigIntegerField()
    waiting_locks = models.BigIntegerField()
    blocking_locks = models.BigIntegerField()
    avg_duration_seconds = NumericField()
    max_duration_seconds = models.IntegerField()
    avg_impact_score = NumericField()
    max_impact_score = NumericField()
    distinct_users = models.BigIntegerField()
    distinct_applications = models.BigIntegerField()
    earliest_lock = models.DateTimeField()
    latest_lock = models.DateTimeField()

    class Meta(VaultModel.Meta):
        db_table = vault_table("lock_activity_dashboard")
        verbose_name = "open lock group"


class BlockingSessionsDashboard(VaultModel):
    """One row of lock_monitoring.blocking_sessions_dashboard: who blocks now."""

    session_pid = models.IntegerField(primary_key=True)
    user_name = models.CharField(max_length=100)
    database_name = models.CharField(max_length=100)
    application_name = models.CharField(max_length=200)
    client_addr = models.GenericIPAddressField()
    session_state = models.CharField(max_length=20)
    blocked_sessions_count = models.IntegerField()
    total_locks_held = models.IntegerField()
    exclusive_locks_held = models.IntegerField()
    blocking_duration_seconds = models.IntegerField()
    blocking_severity = models.CharField(max_length=20)
    blocking_impact_score = NumericField()
    auto_kill_eligible = models.BooleanField()
    escalation_level = models.IntegerField()
    query_preview = models.TextField()
    last_activity = models.DateTimeField()
    urgency_level = models.TextField()
    recommended_action = models.TextField()
    kill_threshold_seconds = models.IntegerField()
    is_superuser = models.BooleanField()
    is_root = models.BooleanField()
    kind = models.TextField()
    node = models.BigIntegerField()
    session_start_time = models.DateTimeField()
    blocking_since = models.DateTimeField()
    root_nodes = ArrayField(models.BigIntegerField())
    waits_for = models.TextField()
    prepared_gid = models.TextField()
    satellite_id = models.BigIntegerField()
    blocking_session_key = models.TextField()
    severity_score = NumericField(null=True)
    tenant_claim = models.TextField(null=True)

    class Meta(VaultModel.Meta):
        db_table = vault_table("blocking_sessions_dashboard")
        verbose_name = "present blocker"


class DeadlockEventsDashboard(VaultModel):
    """One row of lock_monitoring.deadlock_events_dashboard: recent deadlocks."""

    deadlock_timestamp = models.DateTimeField()
    deadlock_id = models.CharField(max_length=100, primary_key=True)
    sessions_involved = models.IntegerField()
    involved_pids = ArrayField(models.IntegerField())
    involved_users = ArrayField(models.TextField())
    deadlock_victim_pid = models.IntegerField()
    deadlock_resolution = models.CharField(max_length=50)
    deadlock_duration_ms = models.IntegerField()
    affected_tables = ArrayField(models.TextField())
    lock_types_involved = ArrayField(models.TextField())
    frequency_score = NumericField()
    prevention_suggestion = models.TextField()
    business_impact = models.CharField(max_length=20)
    recovery_time_seconds = models.IntegerField()
    data_consistency_affected = models.BooleanField()
    automatic_retry_successful = models.BooleanField()
    manual_intervention_required = models.BooleanField()
    similar_deadlocks_count = models.IntegerField()
    response_priority = models.CharField(max_length=20)

    class Meta(VaultModel.Meta):
        db_table = vault_table("deadlock_events_dashboard")
        verbose_name = "recent deadlock"


class LockWaitAnalysisDashboard(VaultModel):
    """One row of lock_monitoring.lock_wait_analysis_dashboard: analyses with their rating."""

    pk = models.CompositePrimaryKey("analysis_period_start", "analysis_period_end")
    analysis_period_start = models.DateTimeField()
    analysis_period_end = models.DateTimeField()
    total_lock_events = models.IntegerField()
    blocking_events = models.IntegerField()
    deadlock_events = models.IntegerField()
    avg_wait_time_ms = NumericField()
    max_wait_time_ms = NumericField()
    lock_timeout_events = models.IntegerField()
    most_contended_table = models.CharField(max_length=200)
    most_blocking_user = models.CharField(max_length=100)
    most_blocked_user = models.CharField(max_length=100)
    peak_concurrent_locks = models.IntegerField()
    efficiency_score = NumericField()
    performance_impact_score = NumericField()
    business_hours_impact = models.BooleanField()
    trend_direction = models.CharField(max_length=20)
    recommended_optimizations = ArrayField(models.TextField())
    efficiency_rating = models.TextField()
    blocked_seconds = NumericField()
    previous_blocked_seconds = NumericField()
    p50_lock_wait_time_ms = NumericField()
    p95_lock_wait_time_ms = NumericField()
    unknown = ArrayField(models.TextField())
    satellite_id = models.BigIntegerField()
    watched_share = NumericField()
    previous_watched_share = NumericField()

    class Meta(VaultModel.Meta):
        db_table = vault_table("lock_wait_analysis_dashboard")
        verbose_name = "rated analysis"
