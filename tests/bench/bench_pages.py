"""Server time of every page on a vault with two million satellite rows over thirty days, with 200 live
waiters.

    python -m tests.bench.bench_pages [ROWS]

Prints for each page, the JSON API and /metrics the median and the 95th percentile of 20 requests
(milliseconds, Django's test client, so without the network), the size, and the same for the four dashboard
views. To reach: pages p95 under 200 ms, the live fragment and /metrics under 50 ms, the dashboards under
100 ms; with 1,000 waiters the live tree under 1 s and 500 kB.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

django.setup()

import psycopg  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.cache import cache  # noqa: E402
from django.db import connections  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402

from lockmon.models.api_token import ApiToken  # noqa: E402
from tests.bench.crowd import Crowd, Scenes, until  # noqa: E402
from tests.support import vaults  # noqa: E402
from tests.support.people import browser, use_app_login  # noqa: E402
from tests.support.servers import Server, throwaway  # noqa: E402

ROUNDS = 20

# One wait in five rows; each lock has four versions, each episode six.
LOCKS = """
INSERT INTO lock_monitoring.lock_activity_h (lock_activity_hk, lock_activity_bk, tenant_hk, load_date,
record_source)
SELECT sha256(int4send(i)), 'lock ' || i, t.tenant_hk, now(), 'bench'
  FROM generate_series(1, %(hubs)s) AS i, (SELECT tenant_hk FROM auth.tenant_h LIMIT 1) AS t;
INSERT INTO lock_monitoring.lock_activity_s (lock_activity_hk, load_date, load_end_date, hash_diff,
lock_type, lock_mode,
  relation_name, database_name, schema_name, table_name, lock_pid, user_name, application_name, query_text,
  query_start,
  lock_granted, resolution_action, resolution_timestamp, record_source, backend_start, wait_start,
  blocking_nodes, root_nodes,
  row_page, row_tuple, object_name, session_state, transaction_start, query_fingerprint, fingerprint)
SELECT sha256(int4send(i)), began + v * interval '2 s', began + (v + 1) * interval '2 s', '\\x01',
       CASE WHEN i %% 5 = 0 THEN 'tuple' ELSE 'relation' END, CASE WHEN i %% 5 = 0 THEN 'ExclusiveLock' ELSE
       'RowExclusiveLock' END,
       'table_' || i %% 40, 'one_vault', 'app', 'table_' || i %% 40, 1000 + i %% 30000, 'user_' || i %% 12,
       'app_' || i %% 9,
       'UPDATE app.table_' || i %% 40 || ' SET balance = balance + ' || i || ' WHERE id = ' || i %% 1000,
       began,
       i %% 5 <> 0, CASE WHEN v = 3 THEN CASE WHEN i %% 5 = 0 THEN 'granted' ELSE 'released' END END,
       CASE WHEN v = 3 THEN began + interval '8 s' END, 'bench', began - interval '1 h', CASE WHEN i %% 5 = 0
       THEN began END,
       CASE WHEN i %% 5 = 0 THEN ARRAY[1000 + i %% 300] END, CASE WHEN i %% 5 = 0 THEN ARRAY[1000 + i %% 300]
       END,
       CASE WHEN i %% 5 = 0 THEN i %% 50 END, CASE WHEN i %% 5 = 0 THEN i %% 90 END, 'row of app.table_' || i
       %% 40, 'active',
       began, md5((i %% 60)::text), i
  FROM generate_series(1, %(hubs)s) AS i, generate_series(0, 3) AS v,
       LATERAL (SELECT now() - interval '30 days' + i * (interval '30 days' / %(hubs)s) AS began) AS b
 ORDER BY i, v;
"""
EPISODES = """
INSERT INTO lock_monitoring.blocking_session_h (blocking_session_hk, blocking_session_bk, tenant_hk,
load_date, record_source)
SELECT sha256(int4send(i)), 'episode ' || i, t.tenant_hk, now(), 'bench'
  FROM generate_series(1, %(hubs)s) AS i, (SELECT tenant_hk FROM auth.tenant_h LIMIT 1) AS t;
INSERT INTO lock_monitoring.blocking_session_s (blocking_session_hk, load_date, load_end_date, hash_diff,
session_pid,
  session_start_time, user_name, database_name, application_name, session_state, current_query,
  transaction_start,
  blocked_sessions_count, blocking_severity, record_source, node, is_root, kind, recommended_action,
  blocking_since,
  blocked_seconds, query_fingerprint, ended_how, ended_at, fingerprint)
SELECT sha256(int4send(i)), began + v * interval '2 s', began + (v + 1) * interval '2 s', '\\x01', 1000 + i
%% 300,
       began - interval '1 h', 'user_' || i %% 12, 'one_vault', 'app_' || i %% 9, 'idle in transaction',
       'UPDATE app.table_' || i %% 40 || ' SET balance = ' || i, began, v + 1,
       (ARRAY['LOW','MEDIUM','HIGH','CRITICAL'])[1 + i %% 4],
       'bench', 1000 + i %% 300, i %% 3 > 0, 'idle_in_transaction', 'the application has to COMMIT', began, v
       * 3,
       md5((i %% 60)::text), CASE WHEN v = 5 THEN 'released' END, CASE WHEN v = 5 THEN began + interval '12
       s' END, i
  FROM generate_series(1, %(hubs)s) AS i, generate_series(0, 5) AS v,
       LATERAL (SELECT now() - interval '30 days' + i * (interval '30 days' / %(hubs)s) AS began) AS b
 ORDER BY i, v;
"""
LINKS = """
INSERT INTO lock_monitoring.lock_blocking_l (link_lock_blocking_hk, blocking_session_hk, lock_activity_hk,
tenant_hk, record_source)
SELECT sha256(int4send(i)), sha256(int4send(1 + i / 10)), sha256(int4send(i)), t.tenant_hk, 'bench'
  FROM generate_series(5, %(hubs)s, 5) AS i, (SELECT tenant_hk FROM auth.tenant_h LIMIT 1) AS t
 WHERE 1 + i / 10 <= %(episodes)s;
"""
# 400 in thirty days, of seven patterns.
DEADLOCKS = """
INSERT INTO lock_monitoring.deadlock_event_h (deadlock_event_hk, deadlock_event_bk, tenant_hk, load_date,
record_source)
SELECT sha256(int4send(i)), 'deadlock ' || i, t.tenant_hk, now(), 'bench'
  FROM generate_series(1, 400) AS i, (SELECT tenant_hk FROM auth.tenant_h LIMIT 1) AS t;
INSERT INTO lock_monitoring.deadlock_event_s (deadlock_event_hk, load_date, hash_diff, deadlock_timestamp,
  deadlock_id, involved_pids, involved_queries, involved_users, deadlock_victim_pid, affected_tables,
  prevention_suggestion, record_source, pattern_hash, sources, participants)
SELECT sha256(int4send(i)), now() - i * interval '108 minutes', '\\x01', now() - i * interval '108 minutes',
       'DL-' || i, ARRAY[i, i + 1], ARRAY['UPDATE a SET x = 1', 'UPDATE b SET x = 2'],
       ARRAY['user_1', 'user_2'], i, ARRAY['app.table_1', 'app.table_2'], 'take them in one order', 'bench',
       'pattern ' || i %% 7, ARRAY['log'],
       jsonb_build_array(jsonb_build_object('pid', i, 'user', 'user_1', 'query', 'UPDATE a SET x = 1',
                                            'wanted', 'row of app.table_2', 'blocked_by', i + 1),
                         jsonb_build_object('pid', i + 1, 'user', 'user_2', 'query', 'UPDATE b SET x = 2',
                                            'wanted', 'row of app.table_1', 'blocked_by', i))
  FROM generate_series(1, 400) AS i;
"""


def fill(dsn: str, rows: int) -> str:
    """Fill the vault with so many satellite rows; returns the key of an episode and of a deadlock."""
    hubs, episodes = rows * 4 // 5 // 4, rows // 5 // 6
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        for statement, number in ((LOCKS, hubs), (EPISODES, episodes), (LINKS, hubs), (DEADLOCKS, 0)):
            for part in statement.split(";\n"):
                if part.strip():
                    cursor = psycopg.ClientCursor(connection)
                    cursor.execute(part, {"hubs": number, "episodes": episodes})
        connection.execute("VACUUM (ANALYZE)")
        began = time.perf_counter()
        rolled = connection.execute("SELECT lock_engine.roll_up_waits(interval '1 hour')").fetchone()
        assert rolled is not None
        print(f"{rolled[0]} past hours added up in {time.perf_counter() - began:.1f} s")
        connection.execute("VACUUM (ANALYZE) lock_engine.wait_rollup")
        sizes = connection.execute(
            "SELECT pg_database_size(current_database()) / 1e6,"
            " pg_total_relation_size('lock_engine.wait_rollup') / 1e6"
        ).fetchone()
        assert sizes is not None
        print(f"the database takes {sizes[0]:.0f} MB, of it the sums of past hours {sizes[1]:.1f} MB")
        found = connection.execute("SELECT encode(sha256(int4send(7)), 'hex')").fetchone()
    assert found is not None
    return str(found[0])


def measured(call: Callable[[], int]) -> tuple[float, float, float, float, int]:
    """Return first, median, p95 and this process's own CPU time per call in milliseconds, and the size."""
    took, size = [], 0
    busy = time.process_time()
    for _ in range(ROUNDS):
        began = time.perf_counter()
        size = call()
        took.append((time.perf_counter() - began) * 1000)
    rest = sorted(took)
    cpu = (time.process_time() - busy) * 1000 / ROUNDS
    return took[0], statistics.median(rest), rest[int(len(rest) * 0.95) - 1], cpu, size


def variants() -> list[str]:
    """The lists, each filter alone over any time, sorted otherwise, searched."""
    locks, blocking = "/admin/lockmon/lockactivity/", "/admin/lockmon/blockingsession/"
    lock_filters = (
        "granted=no",
        "ended=granted",
        "mode=ExclusiveLock",
        "lock_type=tuple",
        "relation=table_7",
    )
    return [
        locks,
        f"{locks}?when=any",
        f"{locks}?when=any&p=30",
        *(f"{locks}?when=any&{one}" for one in lock_filters),
        *(f"{locks}?when=any&{name}=nowhere" for name in ("relation", "user", "application", "database")),
        f"{locks}?when=any&relation=*where*",
        f"{locks}?when=any&versions=all",
        f"{locks}?when=month&granted=no&user=user_3",
        f"{locks}?q=4711&when=week",
        f"{locks}?q=nothing-like-it&when=any",
        f"{locks}?when=any&o=3",
        blocking,
        *(f"{blocking}?when=any&{one}" for one in ("severity=HIGH", "root=yes", "ended=released")),
        f"{blocking}?when=any&user=nobody",
        f"{blocking}?q=nothing-like-it&when=any",
        f"{blocking}?when=any&o=-3",
        *(
            f"/admin/lockmon/{name}/"
            for name in (
                "deadlockevent", "lockwaitanalysis", "actionlog", "policy", "alert", "alertevent",
                "alertmessage", "monitorstate", "pastreport",
            )
        ),
    ]  # fmt: skip


def report(path: str, client: Client, bearer: dict[str, str] | None = None) -> None:
    """Print the figures of one address."""
    cache.clear()

    def call() -> int:
        answer = client.get(path, headers=bearer)
        # nobody runs the loop here, so that the monitor is not ready
        assert answer.status_code == (503 if path == "/readyz" else 200), f"{path}: {answer.status_code}"
        return len(answer.content)

    first, median, high, cpu, size = measured(call)
    print(f"{path[:62]:62} {first:7.0f} {median:7.1f} {high:7.1f} {cpu:7.1f} {size / 1000:6.0f}", flush=True)


def pages(server: Server, name: str, episode: str) -> Client:
    """Print the figures of all pages and dashboards; returns the browser of a dba."""
    vaults.point_alias("default", server, "postgres")
    made = connections["default"].creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    connections["default"].close()
    vaults.point_alias("default", server, made)
    vaults.point_alias("vault", server, name)
    use_app_login()
    client = browser("dba")
    past = (datetime.now(UTC) - timedelta(days=11, seconds=7)).isoformat().replace("+00:00", "Z")
    paths = [
        "/admin/",
        "/admin/monitor/overview/fragment/",
        "/admin/monitor/live/",
        "/admin/monitor/live/fragment/",
        "/admin/monitor/waiters/",
        *(f"/admin/monitor/time/?at={past}&span={span}" for span in (1, 6, 24, 168, 720)),
        f"/admin/monitor/time/?at={past}&compare={past.replace('Z', '')[:-3]}123Z",
        f"/admin/monitor/episode/{episode}/",
        f"/admin/monitor/deadlock/{episode}/",
        *(f"/admin/monitor/insight/?period={name}" for name in ("hour", "day", "week", "month")),
        *(f"/admin/monitor/insight/?period=month&by={by}" for by in ("user", "query", "tenant", "database")),
        "/admin/monitor/check/",
        *variants(),
        "/api/tree",
        f"/api/tree?at={past}",
        "/api/episodes",
        "/api/deadlocks",
        "/metrics",
        "/readyz",
    ]
    _, token = ApiToken.make(user=User.objects.get(username="dba"), name="bench")
    bearer = {"Authorization": f"Bearer {token}"}
    print(f"load of this machine at the beginning: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'page':62} {'cold':>7} {'median':>7} {'p95':>7} {'cpu':>7} {'kB':>6}")
    for path in paths:
        report(path, client, bearer if path.startswith("/api/") else None)
    with connections["vault"].cursor() as cursor:
        for view in ("lock_activity", "blocking_sessions", "deadlock_events", "lock_wait_analysis"):

            def read(view: str = view) -> int:
                cursor.execute(f"SELECT * FROM lock_monitoring.{view}_dashboard")
                return len(cursor.fetchall())

            first, median, high, cpu, size = measured(read)
            print(
                f"view {view + '_dashboard':57} {first:7.0f} {median:7.1f} "
                f"{high:7.1f} {cpu:7.1f} {size:6} rows"
            )
    return client


def main(rows: int = 2_000_000) -> None:
    """Run the whole benchmark on a throwaway server."""
    setup_test_environment()
    # 1,000 waiters that begin together would otherwise look for deadlocks together, and hold up who connects
    with throwaway({"max_connections": "1100", "deadlock_timeout": "10min"}, on_disk=True) as server:
        name = server.create_database(name="bench_pages")
        vaults.install(server.dsn(name))
        began = time.perf_counter()
        episode = fill(server.dsn(name), rows)
        print(f"{rows:,} satellite rows stored in {time.perf_counter() - began:.0f} s")
        scenes = Scenes(server.dsn(name))
        with Crowd(server.dsn(name)) as crowd:
            scenes.one_row(crowd, 200)
            until(lambda: scenes.waiting() >= 200, "200 waiters")
            with psycopg.connect(server.dsn(name), autocommit=True) as connection:
                connection.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
            client = pages(server, name, episode)
            for _ in range(800):
                scenes.one_more(crowd, 1)
            until(lambda: scenes.waiting() >= 1000, "1,000 waiters")
            print("with 1,000 waiters")
            for path in ("/admin/", "/admin/monitor/live/", "/admin/monitor/live/fragment/"):
                report(path, client)
        scenes.close()
        connections.close_all()


if __name__ == "__main__":
    main(int(sys.argv[1].replace(",", "").replace("_", "")) if len(sys.argv) > 1 else 2_000_000)
