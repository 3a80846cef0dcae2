"""Who watches: one leader, one standby, by session-level advisory locks that are asked for and never
waited for.

PostgreSQL frees a session's locks when the session ends, so a killed leader is replaced at the standby's
next question, whichever host each of them runs on.
"""

from __future__ import annotations

import enum

import psycopg

from lockmon.calls import coverage


class Role(enum.Enum):
    """What a loop is at the moment."""

    LEADER = "leader"
    STANDBY = "standby"
    SURPLUS = "surplus"


class Leadership:
    """The two locks as held by one connection."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self.role = Role.SURPLUS

    def take(self) -> Role:
        """Try to become leader, else standby; returns the role. A standby that becomes leader frees its
        place."""
        with self._connection.cursor() as cursor:
            if self.role is Role.LEADER:
                return self.role
            if coverage.try_session_lock(cursor, coverage.LEADER_LOCK):
                if self.role is Role.STANDBY:
                    coverage.release_session_lock(cursor, coverage.STANDBY_LOCK)
                self.role = Role.LEADER
            elif self.role is not Role.STANDBY and coverage.try_session_lock(cursor, coverage.STANDBY_LOCK):
                self.role = Role.STANDBY
        return self.role
