"""Old locks with their rows and links, as many as a test of retention needs."""

from __future__ import annotations

from typing import Any

import psycopg

# One closed row a hub; every tenth lock waited behind an episode, which is what a busy site stores at most.
_FILL = """
WITH x AS (
    SELECT g,
    %(first)s::timestamptz + (g - 1) * (%(last)s::timestamptz - %(first)s::timestamptz) / %(rows)s AS at
      FROM generate_series(1, %(rows)s) AS g),
lock_hubs AS (
    INSERT INTO lock_monitoring.lock_activity_h
           (lock_activity_hk, lock_activity_bk, tenant_hk, load_date, record_source)
    SELECT sha256(convert_to(concat_ws('|', %(mark)s::text, g), 'UTF8')), concat_ws('|', %(mark)s::text, g),
           t.tenant_hk, x.at, 'pg_locks'
      FROM x, (SELECT tenant_hk FROM auth.tenant_h LIMIT 1) t),
lock_rows AS (
    INSERT INTO lock_monitoring.lock_activity_s
           (lock_activity_hk, load_date, load_end_date, hash_diff, lock_type, lock_mode, relation_name,
           database_name,
            schema_name, table_name, lock_pid, session_id, user_name, application_name, query_text,
            query_start,
            lock_duration_seconds, lock_granted, record_source, backend_start, resolution_action,
            object_key, object_name,
            session_state, fingerprint)
    SELECT sha256(convert_to(concat_ws('|', %(mark)s::text, g), 'UTF8')), x.at,
    x.at + interval '20 seconds',
           int8send(g), 'relation', 'RowExclusiveLock', 'public.runs', current_database(), 'public', 'runs',
           100000 + g %% 30000, 'test', 'app', 'test', 'UPDATE runs SET n = n + 1 WHERE id = ' || g,
           x.at, 20,
           g %% 10 <> 0, 'pg_locks', x.at - interval '1 hour', 'released', 'relation:1:' || g,
           'public.runs', 'active', g
      FROM x),
episode_hubs AS (
    INSERT INTO lock_monitoring.blocking_session_h
           (blocking_session_hk, blocking_session_bk, tenant_hk, load_date, record_source)
    SELECT sha256(convert_to(concat_ws('|', 'e', %(mark)s::text, g), 'UTF8')), concat_ws('|', 'e',
    %(mark)s::text, g),
           t.tenant_hk, x.at, 'pg_blocking_pids'
      FROM x, (SELECT tenant_hk FROM auth.tenant_h LIMIT 1) t WHERE g %% 10 = 0),
episode_rows AS (
    INSERT INTO lock_monitoring.blocking_session_s
           (blocking_session_hk, load_date, load_end_date, hash_diff, session_pid, session_start_time,
           record_source,
            node, is_root, kind, blocking_since, ended_how, ended_at)
    SELECT sha256(convert_to(concat_ws('|', 'e', %(mark)s::text, g), 'UTF8')), x.at,
    x.at + interval '20 seconds',
           int8send(g), 100000 + g %% 30000, x.at - interval '1 hour', 'pg_blocking_pids',
           100000 + g %% 30000, true,
           'active', x.at, 'released', x.at + interval '20 seconds'
      FROM x WHERE g %% 10 = 0)
INSERT INTO lock_monitoring.lock_blocking_l
       (link_lock_blocking_hk, blocking_session_hk, lock_activity_hk, tenant_hk, load_date, record_source)
SELECT sha256(convert_to(concat_ws('|', 'l', %(mark)s::text, g), 'UTF8')),
       sha256(convert_to(concat_ws('|', 'e', %(mark)s::text, g), 'UTF8')),
       sha256(convert_to(concat_ws('|', %(mark)s::text, g), 'UTF8')), t.tenant_hk, x.at, 'pg_blocking_pids'
  FROM x, (SELECT tenant_hk FROM auth.tenant_h LIMIT 1) t WHERE g %% 10 = 0
"""


def fill(connection: psycopg.Connection[Any], rows: int, first: str, last: str, mark: str = "old") -> None:
    """Store so many closed locks, evenly from ``first`` to ``last`` (what PostgreSQL reads as a time).

    Each is a hub with one row of 20 s; each tenth waited behind an episode of its own, with the link.
    ``mark`` keeps the keys of several calls apart. Without the foreign keys' checks where the login may.
    """
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(_FILL, {"rows": rows, "first": first, "last": last, "mark": mark})
