"""The two groups of people, named as the database roles, and who may do what."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.management import create_permissions
from django.db import DEFAULT_DB_ALIAS, connections, router

READERS = "lock_monitoring_role"
ADMINS = "lock_admin_role"

VIEW_PAGES = "lockmon.view_pages"
VIEW_QUERY_TEXT = "lockmon.view_query_text"
EXPORT_HISTORY = "lockmon.export_history"
STOP_SESSION = "lockmon.stop_session"
CHANGE_SETTINGS = "lockmon.change_settings"

_ADMIN_ONLY = frozenset({"view_query_text", "stop_session", "change_settings"})


def ensure_groups(using: str = DEFAULT_DB_ALIAS, verbosity: int = 0) -> None:
    """Create both groups and give them what they lack; rights that a site took away or added elsewhere stay.

    A reader sees pages, history and exports, with literals of queries hidden; an admin sees texts, edits and
    acts.
    """
    from django.contrib.auth.models import Group, Permission

    for label in ("lockmon", "django_q"):
        if apps.is_installed(label):
            create_permissions(apps.get_app_config(label), verbosity=verbosity, using=using)
    ours = Permission.objects.using(using).filter(content_type__app_label="lockmon")
    queue = Permission.objects.using(using).filter(
        content_type__app_label="django_q", codename__startswith="view_"
    )
    reading = [item for item in ours if item.codename not in _ADMIN_ONLY and _reads(item.codename)]
    for name, rights in ((READERS, reading), (ADMINS, [*ours, *queue])):
        group, _ = Group.objects.using(using).get_or_create(name=name)
        group.permissions.add(*rights)


def _reads(codename: str) -> bool:
    return codename.startswith("view_") or codename == "export_history"


def after_migrate(
    sender: AppConfig, using: str = DEFAULT_DB_ALIAS, verbosity: int = 1, **kwargs: Any
) -> None:
    """Signal handler of post_migrate for this app: the groups exist wherever users live."""
    from django.contrib.auth.models import Group

    if not router.allow_migrate_model(using, Group):
        return
    if Group._meta.db_table in connections[using].introspection.table_names():
        ensure_groups(using, verbosity)
