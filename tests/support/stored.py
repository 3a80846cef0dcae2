"""What the vault has stored: reading it back, and the rules that hold whatever happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.support.poll import poll

Row = dict[str, Any]

VAULT_TABLES = (
    "lock_activity_h",
    "lock_activity_s",
    "blocking_session_h",
    "blocking_session_s",
    "lock_blocking_l",
    "deadlock_event_h",
    "deadlock_event_s",
    "deadlock_involvement_l",
    "lock_wait_analysis_h",
    "lock_wait_analysis_s",
)

# Each question finds the rows that break a rule; none may.
_RULES = {
    "two open rows of one {name} hub": (
        "SELECT {name}_hk FROM lock_monitoring.{name}_s WHERE load_end_date IS NULL"
        " GROUP BY 1 HAVING count(*) > 1"
    ),
    "versions of one {name} hub that overlap": (
        "SELECT * FROM (SELECT load_end_date, lead(load_date) OVER"
        " (PARTITION BY {name}_hk ORDER BY load_date) AS next FROM lock_monitoring.{name}_s) v"
        " WHERE next < coalesce(load_end_date, 'infinity')"
    ),
    "a {name} row that ends before it begins": (
        "SELECT * FROM lock_monitoring.{name}_s WHERE load_end_date <= load_date"
    ),
    "a {name} row without its hub": (
        "SELECT * FROM lock_monitoring.{name}_s s WHERE NOT EXISTS"
        " (SELECT 1 FROM lock_monitoring.{name}_h h WHERE h.{name}_hk = s.{name}_hk)"
    ),
    # A lock that is known from a deadlock's report alone was never sampled: a link has its hub.
    "a {name} hub without a row": (
        "SELECT * FROM lock_monitoring.{name}_h h WHERE NOT EXISTS"
        " (SELECT 1 FROM lock_monitoring.{name}_s s WHERE h.{name}_hk = s.{name}_hk)"
        " AND h.record_source NOT LIKE 'deadlock:%%'"
        # of a partitioned satellite what is aside is not read
        " AND NOT EXISTS (SELECT 1 FROM lock_engine.aside_{name}_s a WHERE h.{name}_hk = a.{name}_hk)"
    ),
    "a {name} row that ended and does not say how": (
        "SELECT * FROM lock_monitoring.{name}_s s WHERE load_end_date IS NOT NULL AND {how} IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM lock_monitoring.{name}_s n WHERE n.{name}_hk = s.{name}_hk"
        "  AND n.load_date = s.load_end_date)"
    ),
    "a {name} row that goes on and says how it ended": (
        "SELECT * FROM lock_monitoring.{name}_s s WHERE {how} <> 'granted' AND EXISTS"
        " (SELECT 1 FROM lock_monitoring.{name}_s n WHERE n.{name}_hk = s.{name}_hk"
        "  AND n.load_date = s.load_end_date{same_wait})"
    ),
}


OF_THIS_SERVER = "load_date >= pg_postmaster_start_time()"
"""Rows that came with a dump may be of a process of the same number."""


@dataclass(frozen=True)
class Stored:
    """The vault of one database."""

    connection: psycopg.Connection[Any]

    def rows(self, question: str, *values: Any) -> list[Row]:
        """All rows of a question."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return list(cursor.execute(question, values).fetchall())

    def one(self, question: str, *values: Any) -> Row:
        """The only row of a question."""
        found = self.rows(question, *values)
        assert len(found) == 1, found
        return found[0]

    def value(self, question: str, *values: Any) -> Any:
        """The only value of a question."""
        return next(iter(self.one(question, *values).values()))

    def read_no_log(self) -> None:
        """Let the vault read no log from now on, so that it knows what its looks tell."""
        self.connection.execute(
            "INSERT INTO lock_log.state (state_id, state, readable, since, retry_at)"
            " VALUES (1, 'log not readable: a test', false, now(), now() + interval '1 day')"
            " ON CONFLICT (state_id) DO UPDATE SET readable = false, retry_at = EXCLUDED.retry_at"
        )

    def wait_gone(self, pid: int) -> None:
        """Wait for a session's end: it frees its locks a moment before it is gone."""
        alive = "SELECT 1 FROM pg_stat_get_activity(%s)"
        poll(lambda: not self.rows(alive, pid), 10, f"the end of session {pid}")

    def capture(self) -> Row:
        """capture_lock_activity(): everything, also the youngest locks."""
        return self.one("SELECT * FROM lock_monitoring.capture_lock_activity()")

    def cycle(self) -> Row:
        """run_lock_monitoring()."""
        return self.one("SELECT * FROM lock_monitoring.run_lock_monitoring()")

    def locks(self, pid: int, where: str = "true") -> list[Row]:
        """All versions of all locks of a session, the oldest first."""
        return self.rows(
            f"SELECT * FROM lock_monitoring.lock_activity_s WHERE lock_pid = %s AND {where}"
            " ORDER BY load_date, lock_activity_hk",
            pid,
        )

    def episodes(self, node: int, where: str = "true") -> list[Row]:
        """All versions of all blocking episodes of a node, the oldest first."""
        return self.rows(
            f"SELECT * FROM lock_monitoring.blocking_session_s WHERE node = %s AND {where}"
            " ORDER BY load_date",
            node,
        )

    def fingerprint(self) -> dict[str, Any]:
        """Changes with every row of the vault that is written, also if with the same values."""
        return {
            name: self.value(
                "SELECT count(*) || coalesce("
                "md5(string_agg(t.xmin::text || t::text, '' ORDER BY t::text)), '')"
                f" FROM lock_monitoring.{name} AS t"
            )
            for name in VAULT_TABLES
        }

    def check_rules(self) -> None:
        """One open row a hub, no overlaps, every end explained, nothing orphaned."""
        broken = []
        for name, how, same_wait in (
            ("lock_activity", "resolution_action", " AND s.not_seen_at IS NULL"),
            ("blocking_session", "ended_how", ""),
        ):
            for rule, question in _RULES.items():
                found = self.rows(question.format(name=name, how=how, same_wait=same_wait))
                broken += [f"{rule.format(name=name)}: {row}" for row in found[:2]]
        assert not broken, "\n".join(broken)
