"""Permissions that belong to no single table."""

from __future__ import annotations

from django.db import models


class Access(models.Model):
    """Carries the product's own permissions; it has no table and no rows."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = (
            ("view_pages", "Can see the monitor's pages"),
            ("view_query_text", "Can see query texts with their literals"),
            ("export_history", "Can export history"),
            ("stop_session", "Can cancel or terminate a session"),
            ("change_settings", "Can change settings, policies and alerts"),
        )
