"""What was read at one moment: all that lock_catalog.graph_given() is given, as json, and the live graph of
that moment; and the same asked of a database that holds no vault, by one statement made of the rules.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.raw_cursor import RawCursor

from lockmon.install.inline import Inliner

PARTS = ("sessions", "locks", "blockers", "names", "prepared")
READ = """
SELECT json_build_object('at', clock_timestamp(), 'own', lock_catalog.own_pids(), {parts},
  'graph', (SELECT coalesce(json_agg(g ORDER BY g.node), '[]')
              FROM lock_catalog.graph_of(lock_catalog.own_pids(), NULL, NULL) AS g))
""".format(
    parts=", ".join(
        f"'{part}', (SELECT coalesce(json_agg(x), '[]') FROM lock_catalog.{part} AS x)" for part in PARTS
    )
)
GIVEN = "lock_catalog.graph_given($1::timestamptz, $2::integer[], {parts})"
IN_VAULT = GIVEN.format(
    parts=", ".join(
        f"ARRAY(SELECT r FROM json_populate_recordset(NULL::lock_catalog.{part}, ${number}::json) AS r)"
        for number, part in enumerate(PARTS, 3)
    )
)
ANYWHERE = GIVEN.format(parts=", ".join(f"${number}::json" for number, _ in enumerate(PARTS, 3)))
NODES = "SELECT coalesce(json_agg(n ORDER BY n.node), '[]') FROM {} AS n"
PLAN = """
SELECT coalesce(json_agg(p), '[]')
  FROM lock_catalog.rescue_plan({}, $2, 0, ARRAY['watcher'], ARRAY['payroll*'], $3) AS p
"""
PLAN_IN_VAULT = PLAN.format(
    "ARRAY(SELECT r FROM json_populate_recordset(NULL::lock_catalog.graph, $1::json) AS r)"
)
PLAN_ANYWHERE = PLAN.format("$1::json")


@dataclass
class Reading:
    """One moment. graph: the live graph's rows of that moment."""

    at: str
    own: list[int]
    parts: dict[str, list[dict[str, Any]]]
    graph: list[dict[str, Any]]

    @property
    def given(self) -> list[Any]:
        """The arguments of graph_given()."""
        return [self.at, self.own, *(json.dumps(self.parts[part]) for part in PARTS)]

    def changed(self, chance: random.Random) -> Reading:
        """Another reading that could have been: some is missing, of another kind, or of another time."""
        parts = {part: [dict(row) for row in rows] for part, rows in self.parts.items()}
        for part in PARTS:
            missing = chance.choice((0, 0, 0, 0.02, 0.2))
            parts[part] = [row for row in parts[part] if chance.random() >= missing]
        pids = [row["pid"] for row in parts["sessions"]] or [1]
        for row in parts["sessions"]:
            if chance.random() < 0.2:
                row |= chance.choice(SESSIONS)
        for row in parts["locks"]:
            if not row["granted"] and chance.random() < 0.1:
                row["wait_start"] = chance.choice((None, self.at))
        for row in parts["blockers"]:
            if chance.random() < 0.2:
                row["blockers"] = chance.sample(pids, min(len(pids), chance.randint(0, 3)))
        return Reading(self.at, self.own, parts, [])


SESSIONS: tuple[dict[str, Any], ...] = (
    {"state": "active", "query": "ALTER TABLE a ADD COLUMN b integer", "wait_event": None},
    {"state": "active", "query": "WITH a AS (SELECT 1) /* ; */ UPDATE b SET c = 'don''t' WHERE d = $$;$$"},
    {"state": "active", "query": "CREATE INDEX CONCURRENTLY ON a (b)"},
    {"state": "active", "wait_event_type": "IPC", "wait_event": "SyncRep", "query": "COMMIT"},
    {"state": "idle", "query": "COMMIT"},
    {"state": "idle in transaction (aborted)"},
    {"state": None, "query": None},
    {"backend_type": "autovacuum worker", "query": "autovacuum: VACUUM a (to prevent wraparound)"},
    {"backend_type": "walsender", "state": None},
    {"user_name": None, "is_superuser": None},
    {"is_superuser": True},
    {"backend_xid": None, "xact_start": None},
    {"application_name": 'it\'s \\ "all"\n<b>%s</b>'},
)


def read(connection: psycopg.Connection[Any]) -> Reading:
    """What there is to read now, with the graph of it."""
    row = connection.execute(READ).fetchone()
    assert row is not None
    found: dict[str, Any] = row[0]
    return Reading(found["at"], found["own"], {part: found[part] for part in PARTS}, found["graph"])


def asked(connection: psycopg.Connection[Any], statement: str, given: list[Any]) -> list[dict[str, Any]]:
    """The rows of a statement that gives them as json; its arguments are $1, $2 and so on."""
    row = RawCursor(connection).execute(statement, given).fetchone()
    assert row is not None
    found: list[dict[str, Any]] = row[0]
    return found


class Rules:
    """The rules in a vault, and the same as statements in a database without one."""

    def __init__(self, vault: psycopg.Connection[Any], bare: psycopg.Connection[Any]) -> None:
        self.vault = vault
        self.bare = bare
        bare.execute("SET search_path = pg_catalog")
        inliner = Inliner(vault)
        self.graph_statement = inliner.statement(NODES.format(ANYWHERE))
        self.plan_statement = inliner.statement(PLAN_ANYWHERE)

    def graph(self, reading: Reading) -> list[dict[str, Any]]:
        """The graph of a reading, in the vault."""
        return asked(self.vault, NODES.format(IN_VAULT), reading.given)

    def graph_anywhere(self, reading: Reading) -> list[dict[str, Any]]:
        """The graph of a reading, where there is no vault."""
        return asked(self.bare, self.graph_statement, reading.given)

    def plan(self, nodes: str, at: Any, past: bool = False) -> list[dict[str, Any]]:
        """The plan of a graph's rows as json, in the vault."""
        return asked(self.vault, PLAN_IN_VAULT, [nodes, at, past])

    def plan_anywhere(self, nodes: str, at: Any, past: bool = False) -> list[dict[str, Any]]:
        """The same where there is no vault."""
        return asked(self.bare, self.plan_statement, [nodes, at, past])
