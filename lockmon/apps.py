"""The Django application."""

from __future__ import annotations

from django.apps import AppConfig


class LockmonConfig(AppConfig):
    """Lock monitoring of one or more PostgreSQL databases."""

    name = "lockmon"
    verbose_name = "Lock monitor"
    default_auto_field = "django.db.models.BigAutoField"
