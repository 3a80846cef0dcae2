"""What the monitor knows about itself while the monitored database cannot be asked."""

from __future__ import annotations

from django.db import models


class MonitorState(models.Model):
    """One loop, as it last reported to Django's own database: the pages read this when the vault does not
    answer.

    ``missing_since``: nobody has watched since then (None while watching). ``reason`` fits after "Not
    watching since
    03:12:09: ". The row of kind ``cluster`` is the task queue's own sign of life.
    """

    class Kind(models.TextChoices):
        LOOP = "loop", "monitoring loop"
        CLUSTER = "cluster", "task queue"

    class State(models.TextChoices):
        WATCHING = "watching", "watching"
        SKIPPING = "skipping", "looking, but cannot store"
        STANDBY = "standby", "standing by"
        NOT_WATCHING = "not watching", "not watching"
        STOPPED = "stopped", "stopped"

    vault_alias = models.CharField("database", max_length=100)
    instance = models.CharField("where it runs", max_length=200, help_text="Host and process number.")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.LOOP)
    state = models.CharField(max_length=20, choices=State.choices)
    since = models.DateTimeField("in this state since")
    reported_at = models.DateTimeField("last report")
    last_look_at = models.DateTimeField("last look", null=True, blank=True)
    look_ms = models.FloatField("milliseconds a look", null=True, blank=True)
    missing_since = models.DateTimeField("not watching since", null=True, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        verbose_name = "monitor state"
        verbose_name_plural = "monitor states"
        default_permissions = ("view",)
        ordering = ("vault_alias", "-reported_at")
        constraints = [
            models.UniqueConstraint(
                fields=["vault_alias", "instance", "kind"], name="lockmon_state_instance"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.vault_alias} on {self.instance}: {self.state}"
