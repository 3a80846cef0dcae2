"""Locks as the vault keeps them: hub and satellite of lock activity."""

from __future__ import annotations

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models

from .base import VaultModel, vault_table
from .fields import BinaryHexField, NumericField, OidField


class LockActivityHub(VaultModel):
    """One row of lock_monitoring.lock_activity_h."""

    lock_activity_hk = BinaryHexField(primary_key=True)
    lock_activity_bk = models.CharField(max_length=255)
    tenant_hk = BinaryHexField()
    load_date = models.DateTimeField(null=True, blank=True)
    record_source = models.CharField(max_length=100)

    class Meta(VaultModel.Meta):
        db_table = vault_table("lock_activity_h")
        verbose_name = "lock key"
        verbose_name_plural = "locks (keys)"


WAITS_ITSELF = models.Q(beside=None) | models.Q(beside="was")
"""As lock_engine.waits_itself(): of a session whose parallel workers wait, too, the wait that counts."""


class LockActivity(VaultModel):
    """One row of lock_monitoring.lock_activity_s."""

    hub_field = "lock_activity"

    satellite_id = models.BigIntegerField(primary_key=True)
    lock_activity = models.ForeignKey(
        LockActivityHub, models.DO_NOTHING, db_column="lock_activity_hk", related_name="+"
    )
    load_date = models.DateTimeField()
    load_end_date = models.DateTimeField(null=True, blank=True)
    hash_diff = BinaryHexField()
    lock_type = models.CharField(max_length=50)
    lock_mode = models.CharField(max_length=50)
    relation_name = models.CharField(max_length=200, null=True, blank=True)
    relation_type = models.CharField(max_length=50, null=True, blank=True)
    database_name = models.CharField(max_length=100, null=True, blank=True)
    schema_name = models.CharField(max_length=100, null=True, blank=True)
    table_name = models.CharField(max_length=100, null=True, blank=True)
    index_name = models.CharField(max_length=100, null=True, blank=True)
    lock_pid = models.IntegerField()
    session_id = models.CharField(max_length=100, null=True, blank=True)
    user_name = models.CharField(max_length=100, null=True, blank=True)
    application_name = models.CharField(max_length=200, null=True, blank=True)
    client_addr = models.GenericIPAddressField(null=True, blank=True)
    query_text = models.TextField(null=True, blank=True)
    query_start = models.DateTimeField(null=True, blank=True)
    lock_acquired_time = models.DateTimeField(null=True, blank=True)
    lock_duration_seconds = models.IntegerField(null=True, blank=True)
    wait_event_type = models.CharField(max_length=50, null=True, blank=True)
    wait_event = models.CharField(max_length=100, null=True, blank=True)
    lock_granted = models.BooleanField(null=True, blank=True)
    lock_fastpath = models.BooleanField(null=True, blank=True)
    lock_virtualtransaction = models.CharField(max_length=50, null=True, blank=True)
    lock_transactionid = models.BigIntegerField(null=True, blank=True)
    blocking_pid = models.IntegerField(null=True, blank=True)
    blocked_by_count = models.IntegerField(null=True, blank=True)
    blocking_count = models.IntegerField(null=True, blank=True)
    lock_priority = models.IntegerField(null=True, blank=True)
    lock_impact_score = NumericField(null=True, blank=True)
    resolution_action = models.CharField(max_length=100, null=True, blank=True)
    resolution_timestamp = models.DateTimeField(null=True, blank=True)
    record_source = models.CharField(max_length=100)
    backend_start = models.DateTimeField(null=True, blank=True)
    wait_start = models.DateTimeField(null=True, blank=True)
    wait_start_is_bound = models.BooleanField(null=True, blank=True)
    held_since_at_least = models.DateTimeField(null=True, blank=True)
    blocking_nodes = ArrayField(models.BigIntegerField(), null=True, blank=True)
    soft_blocking_nodes = ArrayField(models.BigIntegerField(), null=True, blank=True)
    root_nodes = ArrayField(models.BigIntegerField(), null=True, blank=True)
    run_head = models.BigIntegerField(null=True, blank=True)
    queue_position = models.IntegerField(null=True, blank=True)
    database_oid = OidField(null=True, blank=True)
    relation_oid = OidField(null=True, blank=True)
    row_page = models.IntegerField(null=True, blank=True)
    row_tuple = models.IntegerField(null=True, blank=True)
    object_key = models.TextField(null=True, blank=True)
    object_name = models.TextField(null=True, blank=True)
    session_state = models.TextField(null=True, blank=True)
    transaction_start = models.DateTimeField(null=True, blank=True)
    query_truncated = models.BooleanField(null=True, blank=True)
    query_id = models.BigIntegerField(null=True, blank=True)
    query_fingerprint = models.TextField(null=True, blank=True)
    fingerprint = models.BigIntegerField(null=True, blank=True)
    refresh_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.DateTimeField(null=True, blank=True)
    lock_group = models.IntegerField(null=True, blank=True)
    beside = models.TextField(null=True, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    not_seen_at = models.DateTimeField(null=True, blank=True)
    log_end_at = models.DateTimeField(null=True, blank=True)
    waited_ms = NumericField(null=True, blank=True)
    tenant_claim = models.TextField(null=True, blank=True)

    class Meta(VaultModel.Meta):
        db_table = vault_table("lock_activity_s")
        verbose_name = "lock"
        verbose_name_plural = "lock activity"

    def __str__(self) -> str:
        return f"{self.lock_mode} of pid {self.lock_pid}"

    def counts_until(self) -> datetime | None:
        """Until when the wait counts, as lock_engine.wait_until(); None while it goes on."""
        return self.log_end_at or self.last_seen_at or self.load_end_date

    def waited_seconds(self, now: datetime) -> tuple[float, float]:
        """The least and the most that the wait has lasted by this row, or by now if it goes on, in seconds.

        Equal where the log proves the end, where it goes on, and where an earlier release recorded it.
        """
        if self.waited_ms is not None:
            return float(self.waited_ms) / 1000, float(self.waited_ms) / 1000
        start = self.wait_start or self.load_date
        least = ((self.counts_until() or now) - start).total_seconds()
        most = ((self.not_seen_at or self.load_end_date or now) - start).total_seconds()
        return max(0.0, least), max(0.0, least, most)
