"""The Django application."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class LockmonConfig(AppConfig):
    """Lock monitoring of one or more PostgreSQL databases."""

    name = "lockmon"
    verbose_name = "Lock monitor"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, begin sessions; create groups and schedules after each migrate."""
        from . import checks, groups, schedules, sessions  # noqa: F401

        post_migrate.connect(groups.after_migrate, sender=self, dispatch_uid="lockmon.groups")
        # without a sender: the queue's own tables may be made after ours
        post_migrate.connect(schedules.after_migrate, dispatch_uid="lockmon.schedules")
