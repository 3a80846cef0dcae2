"""Blocking episodes as the vault keeps them, and which locks wait behind them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from .activity import LockActivityHub
from .base import VaultModel, vault_table
from .fields import BinaryHexField, NumericField


class BlockingSessionHub(VaultModel):
    """One row of lock_monitoring.blocking_session_h."""

    blocking_session_hk = BinaryHexField(primary_key=True)
    blocking_session_bk = models.CharField(max_length=255)
    tenant_hk = BinaryHexField()
    load_date = models.DateTimeField(null=True, blank=True)
    record_source = models.CharField(max_length=100)

    class Meta(VaultModel.Meta):
        db_table = vault_table("blocking_session_h")
        verbose_name = "episode key"
        verbose_name_plural = "blocking episodes (keys)"


class BlockingSession(VaultModel):
    """One row of lock_monitoring.blocking_session_s."""

    hub_field = "blocking_session"

    satellite_id = models.BigIntegerField(primary_key=True)
    blocking_session = models.ForeignKey(
        BlockingSessionHub, models.DO_NOTHING, db_column="blocking_session_hk", related_name="+"
    )
    load_date = models.DateTimeField()
    load_end_date = models.DateTimeField(null=True, blank=True)
    hash_diff = BinaryHexField()
    session_pid = models.IntegerField()
    session_start_time = models.DateTimeField(null=True, blank=True)
    user_name = models.CharField(max_length=100, null=True, blank=True)
    database_name = models.CharField(max_length=100, null=True, blank=True)
    application_name = models.CharField(max_length=200, null=True, blank=True)
    client_addr = models.GenericIPAddressField(null=True, blank=True)
    client_hostname = models.CharField(max_length=200, null=True, blank=True)
    session_state = models.CharField(max_length=20, null=True, blank=True)
    current_query = models.TextField(null=True, blank=True)
    query_start = models.DateTimeField(null=True, blank=True)
    transaction_start = models.DateTimeField(null=True, blank=True)
    state_change = models.DateTimeField(null=True, blank=True)
    blocked_sessions_count = models.IntegerField(null=True, blank=True)
    total_locks_held = models.IntegerField(null=True, blank=True)
    exclusive_locks_held = models.IntegerField(null=True, blank=True)
    blocking_duration_seconds = models.IntegerField(null=True, blank=True)
    blocking_severity = models.CharField(max_length=20, null=True, blank=True)
    blocking_impact_score = NumericField(null=True, blank=True)
    auto_kill_eligible = models.BooleanField(null=True, blank=True)
    kill_threshold_seconds = models.IntegerField(null=True, blank=True)
    escalation_level = models.IntegerField(null=True, blank=True)
    last_activity = models.DateTimeField(null=True, blank=True)
    connection_count_from_client = models.IntegerField(null=True, blank=True)
    is_superuser = models.BooleanField(null=True, blank=True)
    backend_type = models.CharField(max_length=50, null=True, blank=True)
    record_source = models.CharField(max_length=100)
    node = models.BigIntegerField(null=True, blank=True)
    is_root = models.BooleanField(null=True, blank=True)
    kind = models.TextField(null=True, blank=True)
    recommended_action = models.TextField(null=True, blank=True)
    blocking_since = models.DateTimeField(null=True, blank=True)
    blocked_seconds = NumericField(null=True, blank=True)
    directly_blocked_count = models.IntegerField(null=True, blank=True)
    hard_blockers = ArrayField(models.BigIntegerField(), null=True, blank=True)
    soft_blockers = ArrayField(models.BigIntegerField(), null=True, blank=True)
    root_nodes = ArrayField(models.BigIntegerField(), null=True, blank=True)
    wait_start = models.DateTimeField(null=True, blank=True)
    waits_for = models.TextField(null=True, blank=True)
    prepared_gid = models.TextField(null=True, blank=True)
    backend_xid = models.BigIntegerField(null=True, blank=True)
    query_truncated = models.BooleanField(null=True, blank=True)
    query_id = models.BigIntegerField(null=True, blank=True)
    query_fingerprint = models.TextField(null=True, blank=True)
    ended_how = models.TextField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    fingerprint = models.BigIntegerField(null=True, blank=True)
    refresh_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.DateTimeField(null=True, blank=True)
    tenant_claim = models.TextField(null=True, blank=True)

    class Meta(VaultModel.Meta):
        db_table = vault_table("blocking_session_s")
        verbose_name = "blocking episode"
        verbose_name_plural = "blocking episodes"

    def __str__(self) -> str:
        since = f" blocking since {self.blocking_since:%Y-%m-%d %H:%M:%S}" if self.blocking_since else ""
        return f"pid {self.session_pid}{since}"


class LockBlockingLink(VaultModel):
    """One row of lock_monitoring.lock_blocking_l."""

    link_lock_blocking_hk = BinaryHexField(primary_key=True)
    blocking_session = models.ForeignKey(
        BlockingSessionHub, models.DO_NOTHING, db_column="blocking_session_hk", related_name="+"
    )
    lock_activity = models.ForeignKey(
        LockActivityHub, models.DO_NOTHING, db_column="lock_activity_hk", related_name="+"
    )
    tenant_hk = BinaryHexField()
    load_date = models.DateTimeField(null=True, blank=True)
    record_source = models.CharField(max_length=100)

    class Meta(VaultModel.Meta):
        db_table = vault_table("lock_blocking_l")
        verbose_name = "blocking link"
        verbose_name_plural = "blocking links"
