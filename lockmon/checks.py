"""System checks: what must be true before anything else is worth looking at. ``manage.py check`` runs
E001 to W002; those that ask a database run with ``manage.py check --database default --database vault``
and before ``migrate``.

lockmon.E001  a vault alias is missing from DATABASES, or is no PostgreSQL
lockmon.E002  LOCKMON_LOOP is wrong
lockmon.E003  the task queue has too few workers for the loop, its successor and the rest
lockmon.E004  the vault's server is older than PostgreSQL 13
lockmon.E005  the vault is not installed, or this login may not use it
lockmon.E006  the vault's server is a standby
lockmon.E007  the task queue is started without a SECRET_KEY
lockmon.E008  several vaults, and a web database that is a file of one host
lockmon.W001  the queue's `retry` is not longer than its `timeout`: running tasks would be delivered twice
lockmon.W002  the vault cannot be reached
lockmon.W003  the login may not see other sessions (no member of pg_monitor)
lockmon.W004  the monitor is not watching
lockmon.W005  LOOP_TASK_SECONDS, a setting of release candidate 1, is still set
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections

from onevault.databases import BACKEND, SQLITE_BACKEND
from onevault.web_place import SET_URL

LEAST_WORKERS = 3


@register("lockmon")
def check_settings(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with the settings; asks no database."""
    from lockmon.monitor.options import loop_options

    found: list[CheckMessage] = []
    for alias in settings.VAULT_ALIASES:
        engine = settings.DATABASES.get(alias, {}).get("ENGINE")
        if engine not in (BACKEND, "django.db.backends.postgresql"):
            found.append(
                Error(
                    f"The vault '{alias}' is not a PostgreSQL database in DATABASES.",
                    hint="Set VAULT_DATABASE_URL to postgresql://user:password@host/name.",
                    id="lockmon.E001",
                )
            )
    try:
        loop_options()
    except (ImproperlyConfigured, TypeError) as error:
        found.append(Error(str(error), id="lockmon.E002"))
    if len(settings.VAULT_ALIASES) > 1 and settings.DATABASES["default"].get("ENGINE") == SQLITE_BACKEND:
        found.append(
            Error(
                f"{len(settings.VAULT_ALIASES)} vaults are too many for a web database that is a file.",
                hint=f"Set {SET_URL}, and 'manage.py lockmon_move_users' moves the users there.",
                id="lockmon.E008",
            )
        )
    queue: dict[str, Any] = dict(settings.Q_CLUSTER)
    workers = int(queue.get("workers") or 0)
    if workers < LEAST_WORKERS:
        found.append(
            Error(
                f"The task queue has {workers} workers; where no process is the loop, its task and the next "
                "one take two.",
                hint=f"Set Q_WORKERS to at least {LEAST_WORKERS}.",
                id="lockmon.E003",
            )
        )
    if os.environ.get("LOOP_TASK_SECONDS"):
        found.append(
            Warning(
                "LOOP_TASK_SECONDS is set and means nothing any more: the loop is a process of its own.",
                hint="Run manage.py lockmon_monitor under a supervisor (docs/production.md), and take the "
                "variable out.",
                id="lockmon.W005",
            )
        )
    if int(queue.get("retry") or 60) <= int(queue.get("timeout") or 0):
        found.append(
            Warning(
                "The task queue's retry is not longer than its timeout: running tasks would run twice.",
                hint="Set Q_CLUSTER['retry'] to more than Q_CLUSTER['timeout'].",
                id="lockmon.W001",
            )
        )
    return found


@register(Tags.security)
def check_key(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Return whether a queue is about to start with a key that nobody else has: it could read no task."""
    from lockmon import keys

    if sys.argv[1:2] == ["qcluster"]:
        try:
            keys.require_shared("each task of the queue")
        except ImproperlyConfigured as error:
            return [Error(str(error), id="lockmon.E007")]
    return []


@register(Tags.database)
def check_vaults(
    app_configs: Sequence[AppConfig] | None = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Return what is wrong with each vault among ``databases``."""
    found: list[CheckMessage] = []
    for alias in settings.VAULT_ALIASES:
        if alias in (databases or ()):
            found += check_vault(alias)
    return found


def check_vault(alias: str) -> list[CheckMessage]:
    """Return what is wrong with one vault, worst first."""
    from lockmon import vault
    from lockmon.calls import coverage
    from lockmon.monitor import watchdog
    from lockmon.monitor.connection import CannotWatchError, describe_failure, refuse_unfit

    try:
        with vault.cursor(alias) as cursor:
            facts = coverage.server_facts(cursor)
    except DatabaseError as error:
        connections[alias].close()
        reason = describe_failure(error.__cause__ or error)
        return [
            Warning(
                f"The vault '{alias}' cannot be asked: {reason}.",
                hint="Look at VAULT_DATABASE_URL and at the server.",
                id="lockmon.W002",
            )
        ]
    try:
        refuse_unfit(alias, facts, facts.backend_pid)
    except CannotWatchError as error:
        if facts.version_num < 130000:
            return [Error(str(error), id="lockmon.E004")]
        if facts.in_recovery:
            return [Error(str(error), id="lockmon.E006")]
        if not facts.vault_installed:
            return [Error(str(error), id="lockmon.E005")]
        return [Warning(str(error), id="lockmon.W003")]
    state = watchdog.examine(alias)
    return [Warning(sentence, id="lockmon.W004") for sentence in state.sentences]
