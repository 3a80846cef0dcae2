"""Analyses of a period as the vault keeps them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from .base import VaultModel, vault_table
from .fields import BinaryHexField, NumericField


class LockWaitAnalysisHub(VaultModel):
    """One row of lock_monitoring.lock_wait_analysis_h."""

    lock_wait_analysis_hk = BinaryHexField(primary_key=True)
    lock_wait_analysis_bk = models.CharField(max_length=255)
    tenant_hk = BinaryHexField()
    load_date = models.DateTimeField(null=True, blank=True)
    record_source = models.CharField(max_length=100)

    class Meta(VaultModel.Meta):
        db_table = vault_table("lock_wait_analysis_h")
        verbose_name = "analysis key"
        verbose_name_plural = "analyses (keys)"


class LockWaitAnalysis(VaultModel):
    """One row of lock_monitoring.lock_wait_analysis_s."""

    hub_field = "lock_wait_analysis"

    satellite_id = models.BigIntegerField(primary_key=True)
    lock_wait_analysis = models.ForeignKey(
        LockWaitAnalysisHub, models.DO_NOTHING, db_column="lock_wait_analysis_hk", related_name="+"
    )
    load_date = models.DateTimeField()
    load_end_date = models.DateTimeField(null=True, blank=True)
    hash_diff = BinaryHexField()
    analysis_period_start = models.DateTimeField()
    analysis_period_end = models.DateTimeField()
    total_lock_events = models.IntegerField(null=True, blank=True)
    blocking_events = models.IntegerField(null=True, blank=True)
    deadlock_events = models.IntegerField(null=True, blank=True)
    average_lock_wait_time_ms = NumericField(null=True, blank=True)
    max_lock_wait_time_ms = NumericField(null=True, blank=True)
    lock_timeout_events = models.IntegerField(null=True, blank=True)
    most_contended_table = models.CharField(max_length=200, null=True, blank=True)
    most_blocking_user = models.CharField(max_length=100, null=True, blank=True)
    most_blocked_user = models.CharField(max_length=100, null=True, blank=True)
    peak_concurrent_locks = models.IntegerField(null=True, blank=True)
    lock_efficiency_score = NumericField(null=True, blank=True)
    contention_hotspots = models.JSONField(null=True, blank=True)
    recommended_optimizations = ArrayField(models.TextField(), null=True, blank=True)
    lock_escalation_events = models.IntegerField(null=True, blank=True)
    shared_lock_conflicts = models.IntegerField(null=True, blank=True)
    exclusive_lock_conflicts = models.IntegerField(null=True, blank=True)
    update_lock_conflicts = models.IntegerField(null=True, blank=True)
    intent_lock_conflicts = models.IntegerField(null=True, blank=True)
    performance_impact_score = NumericField(null=True, blank=True)
    business_hours_impact = models.BooleanField(null=True, blank=True)
    maintenance_window_impact = models.BooleanField(null=True, blank=True)
    trend_direction = models.CharField(max_length=20, null=True, blank=True)
    forecast_next_period = models.TextField(null=True, blank=True)
    record_source = models.CharField(max_length=100)
    p50_lock_wait_time_ms = NumericField(null=True, blank=True)
    p95_lock_wait_time_ms = NumericField(null=True, blank=True)
    blocked_seconds = NumericField(null=True, blank=True)
    previous_blocked_seconds = NumericField(null=True, blank=True)
    unknown = ArrayField(models.TextField(), null=True, blank=True)
    watched_share = NumericField(null=True, blank=True)
    previous_watched_share = NumericField(null=True, blank=True)

    class Meta(VaultModel.Meta):
        db_table = vault_table("lock_wait_analysis_s")
        verbose_name = "analysis"
        verbose_name_plural = "analyses"

    def __str__(self) -> str:
        return f"{self.analysis_period_start:%Y-%m-%d %H:%M} to {self.analysis_period_end:%H:%M}"
