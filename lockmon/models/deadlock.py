"""Deadlocks as the vault keeps them, and the locks involved."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from .activity import LockActivityHub
from .base import VaultModel, vault_table
from .fields import BinaryHexField, NumericField


class DeadlockEventHub(VaultModel):
    """One row of lock_monitoring.deadlock_event_h."""

    deadlock_event_hk = BinaryHexField(primary_key=True)
    deadlock_event_bk = models.CharField(max_length=255)
    tenant_hk = BinaryHexField()
    load_date = models.DateTimeField(null=True, blank=True)
    record_source = models.CharField(max_length=100)

    class Meta(VaultModel.Meta):
        db_table = vault_table("deadlock_event_h")
        verbose_name = "deadlock key"
        verbose_name_plural = "deadlocks (keys)"


class DeadlockEvent(VaultModel):
    """One row of lock_monitoring.deadlock_event_s."""

    hub_field = "deadlock_event"

    satellite_id = models.BigIntegerField(primary_key=True)
    deadlock_event = models.ForeignKey(
        DeadlockEventHub, models.DO_NOTHING, db_column="deadlock_event_hk", related_name="+"
    )
    load_date = models.DateTimeField()
    load_end_date = models.DateTimeField(null=True, blank=True)
    hash_diff = BinaryHexField()
    deadlock_timestamp = models.DateTimeField()
    deadlock_id = models.CharField(max_length=100, null=True, blank=True)
    involved_pids = ArrayField(models.IntegerField(), null=True, blank=True)
    involved_queries = ArrayField(models.TextField(), null=True, blank=True)
    involved_users = ArrayField(models.TextField(), null=True, blank=True)
    deadlock_victim_pid = models.IntegerField(null=True, blank=True)
    deadlock_victim_query = models.TextField(null=True, blank=True)
    deadlock_resolution = models.CharField(max_length=50, null=True, blank=True)
    deadlock_duration_ms = models.IntegerField(null=True, blank=True)
    affected_tables = ArrayField(models.TextField(), null=True, blank=True)
    lock_types_involved = ArrayField(models.TextField(), null=True, blank=True)
    deadlock_frequency_score = NumericField(null=True, blank=True)
    prevention_suggestion = models.TextField(null=True, blank=True)
    deadlock_graph = models.JSONField(null=True, blank=True)
    business_impact = models.CharField(max_length=20, null=True, blank=True)
    recovery_time_seconds = models.IntegerField(null=True, blank=True)
    data_consistency_affected = models.BooleanField(null=True, blank=True)
    automatic_retry_successful = models.BooleanField(null=True, blank=True)
    manual_intervention_required = models.BooleanField(null=True, blank=True)
    similar_deadlocks_count = models.IntegerField(null=True, blank=True)
    record_source = models.CharField(max_length=100)
    pattern_hash = models.TextField(null=True, blank=True)
    sources = ArrayField(models.TextField(), null=True, blank=True)
    participants = models.JSONField(null=True, blank=True)
    unknown = ArrayField(models.TextField(), null=True, blank=True)
    log_excerpt = models.TextField(null=True, blank=True)

    class Meta(VaultModel.Meta):
        db_table = vault_table("deadlock_event_s")
        verbose_name = "deadlock"
        verbose_name_plural = "deadlocks"

    def __str__(self) -> str:
        return f"deadlock of {self.deadlock_timestamp:%Y-%m-%d %H:%M:%S}"


class DeadlockInvolvementLink(VaultModel):
    """One row of lock_monitoring.deadlock_involvement_l."""

    link_deadlock_involvement_hk = BinaryHexField(primary_key=True)
    deadlock_event = models.ForeignKey(
        DeadlockEventHub, models.DO_NOTHING, db_column="deadlock_event_hk", related_name="+"
    )
    lock_activity = models.ForeignKey(
        LockActivityHub, models.DO_NOTHING, db_column="lock_activity_hk", related_name="+"
    )
    tenant_hk = BinaryHexField()
    load_date = models.DateTimeField(null=True, blank=True)
    record_source = models.CharField(max_length=100)

    class Meta(VaultModel.Meta):
        db_table = vault_table("deadlock_involvement_l")
        verbose_name = "deadlock involvement"
        verbose_name_plural = "deadlock involvements"
