"""Crowds of real sessions for benchmarks: hundreds of connections that wait without a thread each."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGconn


class Crowd:
    """Sessions on raw libpq connections; a statement may be started and left waiting."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.members: list[PGconn] = []

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> PGconn:
        """One more session."""
        member = pq.PGconn.connect((self.dsn + " application_name=crowd").encode())
        if member.status != pq.ConnStatus.OK:
            raise RuntimeError(member.get_error_message())
        self.members.append(member)
        return member

    def run(self, member: PGconn, statement: str) -> None:
        """Run a statement to its end."""
        result = member.exec_(statement.encode())
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            raise RuntimeError(result.get_error_message())

    def start(self, member: PGconn, statement: str) -> None:
        """Send a statement and leave it."""
        member.send_query(statement.encode())
        member.flush()

    def waiting(self) -> list[PGconn]:
        """The sessions that run a statement, in the order in which they came."""
        active = pq.TransactionStatus.ACTIVE
        return [member for member in self.members if member.transaction_status == active]

    def leave(self, member: PGconn) -> None:
        """End one session, also one that waits."""
        self.members.remove(member)
        member.get_cancel().cancel()
        member.finish()

    def close(self) -> None:
        """End all; the waiters first."""
        for member in list(reversed(self.members)):
            self.leave(member)


def until(condition: Callable[[], bool], what: str, deadline: float = 120.0) -> None:
    """Poll until true.

    Raises:
        TimeoutError: it did not become true within `deadline` seconds.
    """
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline:.0f} s: {what}")
        time.sleep(0.02)


class Scenes:
    """The scenes that the figures are given for, in a database of their own table."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.admin = psycopg.connect(dsn, autocommit=True)
        self.admin.execute("CREATE TABLE IF NOT EXISTS account (id integer PRIMARY KEY, balance integer)")
        self.admin.execute(
            "INSERT INTO account SELECT g, 0 FROM generate_series(1, 1000) AS g ON CONFLICT (id) DO NOTHING"
        )
        for number in range(1, 101):
            self.admin.execute(f"CREATE TABLE IF NOT EXISTS thing_{number} (id integer)")

    def close(self) -> None:
        """End the scenes' own connection."""
        self.admin.close()

    def waiting(self) -> int:
        """Sessions that wait for a lock now."""
        row = self.admin.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
        assert row is not None
        return int(row[0])

    def one_row(self, crowd: Crowd, waiters: int, row: int = 1) -> None:
        """`waiters` updates of one row behind a session idle in its transaction."""
        root = crowd.open()
        crowd.run(root, "BEGIN")
        crowd.run(root, f"UPDATE account SET balance = balance + 1 WHERE id = {row}")
        for _ in range(waiters):
            self.one_more(crowd, row)

    def one_more(self, crowd: Crowd, row: int) -> None:
        """One more waiter on a row."""
        crowd.start(crowd.open(), f"UPDATE account SET balance = balance + 1 WHERE id = {row}")

    def chain(self, crowd: Crowd, length: int) -> None:
        """`length` waiters, each behind the one before: it holds one row and wants that one's."""
        for row in range(1, length + 2):
            member = crowd.open()
            crowd.run(member, "SET deadlock_timeout = '10min'")
            crowd.run(member, "BEGIN")
            crowd.run(member, f"UPDATE account SET balance = balance + 1 WHERE id = {row}")
            if row > 1:
                crowd.start(member, f"UPDATE account SET balance = balance + 1 WHERE id = {row - 1}")

    def trees(self, crowd: Crowd, number: int, size: int) -> None:
        """`number` trees of `size` waiters each, a row for each tree."""
        for row in range(1, number + 1):
            self.one_row(crowd, size, row)

    def queued_ddl(self, crowd: Crowd, readers: int) -> None:
        """`readers` queue behind an ALTER TABLE that waits for a session idle in its transaction."""
        root = crowd.open()
        crowd.run(root, "BEGIN")
        crowd.run(root, "SELECT count(*) FROM account")
        crowd.start(crowd.open(), "ALTER TABLE account ADD COLUMN extra integer")
        until(lambda: self.waiting() >= 1, "the ALTER waits")
        for _ in range(readers):
            crowd.start(crowd.open(), "SELECT count(*) FROM account")

    def granted(self, crowd: Crowd, locks: int, sessions: int) -> None:
        """`locks` granted locks in `sessions` idle transactions, nobody waiting."""
        for _ in range(sessions):
            self.hold(crowd, crowd.open(), locks // sessions)

    def hold(self, crowd: Crowd, member: PGconn, locks: int) -> None:
        """Let a session take `locks` table locks in a new transaction; its virtual one counts."""
        crowd.run(member, "BEGIN")
        crowd.run(
            member,
            "DO $$ BEGIN FOR i IN 1.."
            + str(locks - 1)
            + " LOOP EXECUTE 'LOCK TABLE thing_' || i || ' IN ACCESS SHARE MODE'; END LOOP; END $$",
        )
