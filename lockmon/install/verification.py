"""Is everything there that an install brings, and does the server say what the guide asks for?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lockmon.install import manifest, ownership
from lockmon.install.apply import Connection, catalog_hash
from lockmon.install.manifest import Drift
from lockmon.text import read_any_name

OK, MISSING, WRONG, ADVICE = "ok", "missing", "wrong", "advice"
AGAIN = "run manage.py lockmon_deploy again"
IS_MISSING = "is missing"

# role -> roles it must be a member of
ROLES = {
    "lock_monitoring_role": ("pg_monitor",),
    "lock_admin_role": ("lock_monitoring_role",),
    "lock_vault_owner": ("pg_monitor",),
    "lock_door_owner": ("pg_signal_backend", "pg_read_all_stats"),
    "lock_action_log_owner": (),
    "lock_log_reader": ("pg_read_server_files", "pg_read_all_settings"),
    "lock_alert_sandbox": ("pg_read_all_stats",),
    "lock_site_reader": (),
}


# Nobody can tell which characters a text of these holds: prerequisites/session.sql refuses them.
ENCODINGS_REFUSED = ("SQL_ASCII", "MULE_INTERNAL")
# What often only a superuser gives away; without it the log is not read, and everything else goes on.
_FOR_THE_LOG = "lock_log_reader"


@dataclass(frozen=True)
class Check:
    """One line of the verification table. `how` says what to do; empty where the state is ok."""

    kind: str
    name: str
    state: str
    how: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing needs doing for the monitor to work (advice does not)."""
        return self.state in (OK, ADVICE)


def verify(connection: Connection) -> list[Check]:
    """Look up tables, functions, indexes, views, roles, settings and definitions; changes nothing.

    The connection's login must be able to read the catalog, as everybody can; the server's settings are shown
    to a DBA and to members of pg_read_all_settings.
    """
    with ownership.pinned(connection):
        readable = ownership.may_be_read(connection)
        return [
            *_encoding(connection),
            *_objects(connection),
            *_roles(connection),
            *_owners(connection, readable),
            *_tenant(connection, readable),
            *_definitions(connection, readable),
            *_settings(connection),
        ]


def drift(connection: Connection) -> list[Drift]:
    """The functions of this database that are missing or have another body than the files, by name."""
    wanted = manifest.contents().bodies
    found: dict[str, set[str]] = defaultdict(set)
    with ownership.pinned(connection):
        rows = connection.execute(
            """
            SELECT n.nspname || '.' || p.proname, p.prosrc
            FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
            WHERE n.nspname || '.' || p.proname = ANY(%s)
            """,
            [list(wanted)],
        ).fetchall()
    for name, body in rows:
        found[name].add(body)
    different = []
    for name in sorted(wanted):
        if not found[name]:
            different.append(Drift(name, IS_MISSING))
        elif found[name] != wanted[name]:
            different.append(Drift(name, "differs from this release's file"))
    return different


def _encoding(connection: Connection) -> Iterator[Check]:
    row = connection.execute("SELECT pg_catalog.getdatabaseencoding()::text").fetchone()
    assert row is not None
    if str(row[0]) in ENCODINGS_REFUSED:
        yield Check(
            "database",
            f"encoding {row[0]}",
            WRONG,
            "install the monitor in a database of this server in UTF8",
        )


def _objects(connection: Connection) -> Iterator[Check]:
    files = manifest.contents().objects
    present: set[tuple[str, str, str]] = set()
    invalid: set[tuple[str, str, str]] = set()
    rows = connection.execute(
        """
        SELECT CASE WHEN c.relkind = 'v' THEN 'view' WHEN c.relkind IN ('i', 'I') THEN 'index'
                    ELSE 'table' END,
               n.nspname, c.relname, coalesce(i.indisvalid, true)
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
        WHERE c.relkind IN ('r', 'p', 'v', 'i', 'I') AND n.nspname = ANY(%(schemas)s)
        UNION ALL
        SELECT 'function', n.nspname, p.proname, true
        FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname = ANY(%(schemas)s)
        """,
        {"schemas": sorted({schema for _, schema, _ in files})},
    )
    for kind, schema, name, is_valid in rows:
        (present if is_valid else invalid).add((kind, schema, name))

    order = ("table", "index", "function", "view")
    for kind, schema, name in sorted(
        files,
        key=lambda wanted: (wanted[1] != "lock_monitoring", wanted[1], order.index(wanted[0]), wanted[2]),
    ):
        full = f"{schema}.{name}"
        if (kind, schema, name) in present:
            yield Check(kind, full, OK)
        elif (kind, schema, name) in invalid:
            yield Check(kind, full, WRONG, f"it is not valid: DROP INDEX {full}, then {AGAIN}")
        else:
            yield Check(kind, full, MISSING, f"{AGAIN} (sql/{files[kind, schema, name]})")


def _roles(connection: Connection) -> Iterator[Check]:
    cursor = connection.cursor()
    read_any_name(cursor)
    attributes = {
        name: (can_login, is_super)
        for name, can_login, is_super in cursor.execute(
            "SELECT rolname, rolcanlogin, rolsuper FROM pg_catalog.pg_roles"
        )
    }
    # From 16 on a membership may be for administering the role only: nobody can act by it.
    memberships = set(
        cursor.execute(
            """
            SELECT m.rolname, r.rolname
            FROM pg_catalog.pg_auth_members AS a
            JOIN pg_catalog.pg_roles AS m ON m.oid = a.member
            JOIN pg_catalog.pg_roles AS r ON r.oid = a.roleid
            WHERE coalesce((to_jsonb(a) ->> 'set_option')::boolean, true)
               OR coalesce((to_jsonb(a) ->> 'inherit_option')::boolean, true)
            """
        ).fetchall()
    )
    for role, parents in ROLES.items():
        yield Check("role", role, *_role_state(role, parents, attributes, memberships))


def _role_state(
    role: str,
    parents: tuple[str, ...],
    attributes: dict[str, tuple[bool, bool]],
    memberships: set[tuple[str, str]],
) -> tuple[str, str]:
    if role not in attributes:
        return MISSING, AGAIN
    if lacking := [parent for parent in parents if (role, parent) not in memberships]:
        grant = f"GRANT {', '.join(lacking)} TO {role}"
        if role == _FOR_THE_LOG:
            return ADVICE, f"{grant}: without it the server log is not read, everything else goes on"
        return WRONG, grant
    can_login, is_super = attributes[role]
    if is_super:
        return WRONG, f"ALTER ROLE {role} NOSUPERUSER: the product works without"
    if role.endswith("_role"):
        return OK, ""
    # An owner's rights are for its functions alone.
    if can_login:
        return WRONG, f"ALTER ROLE {role} NOLOGIN: nobody may work as it"
    within = sorted(who for who, of in memberships if of == role and not attributes[who][1])
    if within:
        return WRONG, f"REVOKE {role} FROM {', '.join(within)}: nobody may work as it"
    return OK, ""


def _owners(connection: Connection, readable: bool) -> Iterator[Check]:
    found = ownership.findings(connection)
    for name, how in found:
        yield Check("owner", name, WRONG, how)
    row = connection.execute(
        """
        SELECT r.rolname FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner
        WHERE n.nspname = 'lock_engine'
        """
    ).fetchone()
    if row is not None and not found:
        yield Check("owner", f"all belongs to the product or to {row[0]}", OK)
    if row is not None and not readable:
        yield Check(
            "owner",
            "records of the install",
            WRONG,
            f'they are not read, as code of their owner "{row[0]}" could run as you: let "{row[0]}" look',
        )


def _tenant(connection: Connection, readable: bool) -> Iterator[Check]:
    # Not asked of the site's own table: who looks may be a superuser, and code of others could run there.
    name = "system tenant"
    if not readable:
        yield Check("tenant", name, MISSING, AGAIN)
        return
    try:
        with connection.transaction():
            row = connection.execute(
                "SELECT s.value #>> '{}' FROM lock_admin.setting AS s WHERE s.name = 'system.tenant_hk'"
            ).fetchone()
    except Exception as error:  # the right to read it may be missing: that is the finding
        yield Check("tenant", name, WRONG, f"{str(error).splitlines()[0]}; {AGAIN}")
        return
    if row is None:
        yield Check("tenant", name, MISSING, f"{AGAIN}: sessions that no tenant claims have nowhere to go")
    else:
        yield Check("tenant", f"{name} {row[0]}", OK)


def _definitions(connection: Connection, readable: bool) -> Iterator[Check]:
    # A function that is missing has its own line among the objects.
    different = [one for one in drift(connection) if one.what != IS_MISSING]
    for one in different:
        yield Check("definition", one.name, WRONG, f"it {one.what}: {AGAIN}")
    if not different:
        yield Check("definition", "functions have the bodies of this release's files", OK)
    if not readable:
        return
    latest = connection.execute(
        """
        SELECT i.installed_at, i.installed_by, i.catalog_hash,
               i.server_version / 10000 = current_setting('server_version_num')::integer / 10000
        FROM lock_engine.installation AS i
        ORDER BY i.installation_id DESC LIMIT 1
        """
    ).fetchone()
    if latest is None:
        yield Check("definition", "record of the install", MISSING, AGAIN)
        return
    when, who, recorded, is_same_version = latest
    name = f"as installed on {when:%d %B %Y at %H:%M %Z} by {who}"
    if not is_same_version or recorded == catalog_hash(connection):
        yield Check("definition", name, OK)
    else:
        yield Check("definition", name, WRONG, f"somebody changed a definition since: {AGAIN}")


def _settings(connection: Connection) -> Iterator[Check]:
    values: dict[str, Any] = dict(
        connection.execute(
            """
            SELECT name, CASE WHEN vartype IN ('integer', 'real') THEN setting ELSE lower(setting) END
            FROM pg_catalog.pg_settings
            WHERE name IN ('log_lock_waits', 'deadlock_timeout', 'log_statement',
                           'log_min_duration_statement', 'logging_collector', 'track_activities',
                           'track_activity_query_size', 'compute_query_id')
            """
        ).fetchall()
    )

    def setting(name: str, good: bool, state: str, how: str) -> Check:
        label = f"{name} = {values.get(name, 'not shown to this login')}"
        return Check("setting", label, OK) if good else Check("setting", label, state, how)

    def change(name: str, value: str) -> str:
        return f"ALTER SYSTEM SET {name} = {value}; SELECT pg_reload_conf()"

    yield setting(
        "track_activities", values.get("track_activities") == "on", WRONG, change("track_activities", "on")
    )
    yield setting(
        "log_lock_waits",
        values.get("log_lock_waits") == "on",
        ADVICE,
        f"{change('log_lock_waits', 'on')}: the log then has the exact length of every long wait",
    )
    yield setting(
        "deadlock_timeout",
        int(values.get("deadlock_timeout", 1000)) <= 1000,
        ADVICE,
        f"{change('deadlock_timeout', '1000')}: deadlocks would be noticed and logged sooner",
    )
    yield setting(
        "log_statement",
        values.get("log_statement") in ("ddl", "mod", "all"),
        ADVICE,
        f"{change('log_statement', 'ddl')}: the guide asks for it; passwords in DDL are logged too",
    )
    yield setting(
        "log_min_duration_statement",
        0 <= int(values.get("log_min_duration_statement", -1)) <= 1000,
        ADVICE,
        f"{change('log_min_duration_statement', '1000')}: slow statements hold locks for long",
    )
    yield setting(
        "logging_collector",
        values.get("logging_collector") == "on",
        ADVICE,
        "ALTER SYSTEM SET logging_collector = on, then restart: without it deadlocks are found by sampling "
        "alone",
    )
    yield setting(
        "track_activity_query_size",
        int(values.get("track_activity_query_size", 1024)) >= 4096,
        ADVICE,
        "ALTER SYSTEM SET track_activity_query_size = 4096, then restart: longer statements are cut",
    )
    if "compute_query_id" in values:
        yield setting(
            "compute_query_id",
            values["compute_query_id"] == "on",
            ADVICE,
            f"{change('compute_query_id', 'on')}: statements can then be matched with pg_stat_statements",
        )
