"""One of everything in the vault, each text hostile: names, statements and log texts belong to strangers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.types.json import Jsonb

from tests.support import scenes

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"
BIDI = "user\u202eresu\u2066x\u200b"
CONTROL = "bell\x07esc\x1b[31m\x9b"
FORMULA = '=HYPERLINK("http://evil.example","click")'
LONG = "SELECT '" + "x" * 100_000 + "'"
HOSTILE = f"{SCRIPT} {BIDI} {CONTROL}"
NOW = datetime.now(UTC)


def fill(dsn: str) -> dict[str, str]:
    """Store one of everything, each text hostile; returns the hex keys of the hubs."""
    keys: dict[str, str] = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        common = {"load_date": NOW - timedelta(minutes=5), "hash_diff": b"\x01", "record_source": "test"}
        episode = scenes.hub(connection, "blocking_session", "hostile episode")
        keys["episode"] = episode.hex()
        scenes.insert(
            connection,
            "blocking_session_s",
            common
            | {
                "blocking_session_hk": episode,
                "session_pid": 4711,
                "session_start_time": NOW - timedelta(hours=1),
                "user_name": BIDI + "<b>",
                "application_name": HOSTILE,
                "current_query": LONG,
                "blocked_sessions_count": 2,
                "blocking_severity": "HIGH",
                "node": 4711,
                "is_root": True,
                "kind": "idle_in_transaction",
                "database_name": FORMULA,
                "recommended_action": HOSTILE,
                "blocking_since": NOW - timedelta(minutes=6),
                "session_state": "idle in transaction",
                "query_fingerprint": "f1",
                "blocked_seconds": 9,
            },
        )
        for number, text in enumerate((HOSTILE, LONG, FORMULA), start=1):
            lock = scenes.hub(connection, "lock_activity", f"hostile lock {number}")
            connection.execute(
                (
                    "INSERT INTO lock_monitoring.lock_blocking_l "
                    "(link_lock_blocking_hk, blocking_session_hk, lock_activity_hk,"
                    " tenant_hk, record_source) SELECT sha256(%s), %s, %s, "
                    "tenant_hk, 'test' FROM auth.tenant_h LIMIT 1"
                ),
                [lock, episode, lock],
            )
            scenes.insert(
                connection,
                "lock_activity_s",
                common
                | {
                    "lock_activity_hk": lock,
                    "lock_type": "relation",
                    "lock_mode": "AccessShareLock",
                    "lock_pid": 5000 + number,
                    "relation_name": SCRIPT,
                    "table_name": SCRIPT,
                    "schema_name": FORMULA[:90],
                    "user_name": FORMULA,
                    "application_name": text[:200],
                    "query_text": text,
                    "lock_granted": False,
                    "object_name": HOSTILE,
                    "wait_start": NOW - timedelta(minutes=5),
                    "blocking_nodes": [4711],
                    "root_nodes": [4711],
                    "query_fingerprint": f"f{number}",
                    "row_page": 1,
                    "row_tuple": 2,
                },
            )
        dead = scenes.hub(connection, "deadlock_event", "hostile deadlock")
        keys["deadlock"] = dead.hex()
        scenes.insert(
            connection,
            "deadlock_event_s",
            common
            | {
                "deadlock_event_hk": dead,
                "deadlock_timestamp": NOW - timedelta(minutes=5),
                "deadlock_id": SCRIPT[:90],
                "involved_pids": [1, 2, 3],
                "involved_queries": [HOSTILE, LONG, FORMULA],
                "involved_users": [SCRIPT, BIDI, FORMULA],
                "deadlock_victim_pid": 2,
                "affected_tables": [SCRIPT, BIDI],
                "prevention_suggestion": HOSTILE,
                "log_excerpt": HOSTILE,
                "participants": Jsonb(
                    [
                        {
                            "pid": 1,
                            "application": HOSTILE.replace("\x00", ""),
                            "held": SCRIPT,
                            "wanted": {"mode": SCRIPT},
                        }
                    ]
                ),
                "unknown": [HOSTILE],
                "pattern_hash": SCRIPT,
                "sources": [SCRIPT],
                "deadlock_graph": Jsonb(
                    {"edges": [{"pid": 1, "blocker": 2, "object": SCRIPT}, {"pid": "x"}, 7]}
                ),
            },
        )
        analysis = scenes.hub(connection, "lock_wait_analysis", "hostile analysis")
        scenes.insert(
            connection,
            "lock_wait_analysis_s",
            common
            | {
                "lock_wait_analysis_hk": analysis,
                "analysis_period_start": NOW - timedelta(hours=1),
                "analysis_period_end": NOW,
                "most_contended_table": SCRIPT,
                "most_blocking_user": FORMULA,
                "most_blocked_user": BIDI,
                "recommended_optimizations": [HOSTILE],
                "unknown": [HOSTILE],
                "trend_direction": "<b>",
            },
        )
        for table in ("lock_activity", "lock_wait_analysis", "blocking_session"):
            row = connection.execute(f"SELECT max(satellite_id) FROM lock_monitoring.{table}_s").fetchone()
            assert row is not None
            keys[table] = str(row[0])
    return keys
