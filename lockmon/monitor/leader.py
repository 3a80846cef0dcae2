"""Who watches: one leader, one standby, by session-level advisory locks that are asked for and never
waited for.

PostgreSQL frees a session's locks when the session ends, so a killed leader is replaced at the standby's
next question, whichever host each of them runs on.
"""

from __future__ import annotations

import enum

import psycopg

from lockmon import vault
from lockmon.calls import coverage

PROCESS = "loop"
"""What the connection of a loop that is a process of its own is for; it is in its application_name."""
TASK = "loop of a task"
"""The same of a loop that a task of the queue runs where no process does."""


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

    def leader_gives_way(self) -> bool:
        """Tell whether a task need stand by: the leader is a task, too, which hands over to whoever stands
        by, or is gone, or no session of this login."""
        with self._connection.cursor() as cursor:
            return coverage.holder_of(cursor, coverage.LEADER_LOCK) != vault.application_of(PROCESS)

    def successor_is_there(self) -> bool:
        """Tell whether another loop of this login stands by. Anybody can hold the lock of that place, so the
        lock alone is no successor."""
        with self._connection.cursor() as cursor:
            if coverage.try_session_lock(cursor, coverage.STANDBY_LOCK):
                coverage.release_session_lock(cursor, coverage.STANDBY_LOCK)
                return False
            standby = coverage.holder_of(cursor, coverage.STANDBY_LOCK)
        return standby in (vault.application_of(PROCESS), vault.application_of(TASK))

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
