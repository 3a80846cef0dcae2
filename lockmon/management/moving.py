"""Moving people and what belongs to them from one web database to another, all or nothing.

`default` is where they go; where they are is read through an alias that exists for the move alone, in one
read-only transaction. Rows keep their keys. Nothing is deleted at the old place. Sessions stay there, and so
do the queue's waiting tasks and their results.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core import serializers
from django.core.management import CommandError, call_command
from django.core.management.color import no_style
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model
from django_q.models import OrmQ, Schedule

from lockmon import errors
from lockmon.models import ApiToken
from onevault.databases import Database

OLD = "moved_from"
MOVED: dict[str, type[Model]] = {
    "content types": ContentType,
    "permissions": Permission,
    "groups": Group,
    "groups' permissions": Group.permissions.through,
    "people": User,
    "people's groups": User.groups.through,
    "people's own permissions": User.user_permissions.through,
    "API tokens": ApiToken,
    "lines of the admin's log": LogEntry,
    "schedules": Schedule,
}
"""What is moved, each after what it refers to."""


@dataclass(frozen=True)
class Count:
    """Rows of one kind: at the old place, and at the new one afterwards."""

    what: str
    before: int
    after: int


@contextmanager
def places(old: Database, new: Database | None) -> Iterator[None]:
    """Let `default` lead to the new place (None: it does already) and OLD, for reading, to the old one."""
    before = connections.settings[DEFAULT_DB_ALIAS]
    wanted = {DEFAULT_DB_ALIAS: new or before, OLD: _reading(old)}
    filled = connections.configure_settings(wanted)
    _use(DEFAULT_DB_ALIAS, filled[DEFAULT_DB_ALIAS])
    _use(OLD, filled[OLD])
    try:
        yield
    finally:
        connections[OLD].close()
        del connections[OLD], connections.settings[OLD]
        _use(DEFAULT_DB_ALIAS, before)


def _use(alias: str, place: dict[str, Any]) -> None:
    if alias in connections.settings:
        connections[alias].close()
        del connections[alias]
    connections.settings[alias] = place


def _reading(old: Database) -> Database:
    """The old place with one look at all of it, and no way to change it."""
    options = dict(old.get("OPTIONS") or {})
    if "session_options" in options:
        more = "-c default_transaction_isolation=repeatable\\ read -c default_transaction_read_only=on"
        key = "options" if options.get("options") else "session_options"
        options[key] = f"{options[key] or ''} {more}".strip()
    return old | {"OPTIONS": options}


def require_current() -> None:
    """CommandError unless the old place has been migrated to this release, so that its rows can be read."""
    try:
        executor = MigrationExecutor(connections[OLD])
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        raise CommandError(f"The users' old place does not answer: {errors.told(error)}") from error
    if missing:
        raise CommandError(
            "At the old place are no tables of this release: run 'manage.py migrate' there first (without a "
            "new DATABASE_URL), if there is anything to move."
        )


def move() -> list[Count]:
    """Move everything; returns what was counted. Raises CommandError, and then nothing is at the new place.

    Not even groups and schedules that `migrate` has made there, or somebody has changed, are left: all is as
    at the old place.
    """
    call_command("migrate", interactive=False, verbosity=0, stdout=io.StringIO())
    try:
        with transaction.atomic(using=DEFAULT_DB_ALIAS), transaction.atomic(using=OLD):
            _require_nobody()
            for model in reversed(MOVED.values()):
                model._default_manager.using(DEFAULT_DB_ALIAS).all().delete()
            for model in MOVED.values():
                _copy(model)
            found = list(_counts())
            if wrong := [count.what for count in found if count.before != count.after]:
                raise CommandError(f"Not as many {wrong[0]} came as left: nothing was moved.")
            _continue_numbers()
    except DatabaseError as error:
        raise CommandError(f"Nothing was moved: {errors.told(error)}") from error
    finally:
        ContentType.objects.clear_cache()
    return found


def waiting_tasks() -> int:
    """Tasks in the old queue, which stay there."""
    return int(OrmQ.objects.using(OLD).count())


def _require_nobody() -> None:
    there = User.objects.using(DEFAULT_DB_ALIAS).count()
    if there:
        raise CommandError(
            f"The new place has {there} people already: nothing was moved. Name an empty database in "
            "DATABASE_URL, or (a file) move it away."
        )
    if not User.objects.using(OLD).exists():
        raise CommandError("The old place has no people: nothing was moved, and nothing needs to be.")


def _copy(model: type[Model]) -> None:
    """Each row as it is, with its key; nothing of ours that acts on a save runs."""
    # what a row of one table has in another (a person's groups) comes with that table
    fields = [field.name for field in model._meta.local_fields]
    old = model._default_manager.using(OLD).order_by("pk")
    rows = serializers.serialize("python", old.iterator(), fields=fields)
    for one in serializers.deserialize("python", rows, using=DEFAULT_DB_ALIAS):
        one.save(using=DEFAULT_DB_ALIAS)


def _counts() -> Iterator[Count]:
    for what, model in MOVED.items():
        before, after = (model._default_manager.using(alias).count() for alias in (OLD, DEFAULT_DB_ALIAS))
        yield Count(what, before, after)


def _continue_numbers() -> None:
    """Let new rows have numbers behind those that came."""
    connection = connections[DEFAULT_DB_ALIAS]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), list(MOVED.values())):
            cursor.execute(statement)
