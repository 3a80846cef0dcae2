"""Stories of deadlocks with CONCURRENTLY and over advisory locks."""

from __future__ import annotations

from tests.support.deadlock_play import Story

WAITS = {
    "an index built CONCURRENTLY": Story(
        "concurrently",
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        auto CREATE INDEX CONCURRENTLY late ON runs (n)
        a ALTER TABLE runs ADD c int
        """,
        ("INVALID index stays: DROP INDEX CONCURRENTLY", "INVALID now, or just being built: public.late."),
        """
        auto DROP INDEX CONCURRENTLY late
        a UPDATE runs SET n = 1 WHERE id = 1
        a ALTER TABLE runs ADD d int
        a COMMIT
        auto CREATE INDEX CONCURRENTLY late ON runs (n)
        """,
        kept=True,
    ),
    "an index rebuilt CONCURRENTLY": Story(
        "concurrently",
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        auto REINDEX INDEX CONCURRENTLY runs_pkey
        a LOCK TABLE runs IN SHARE MODE
        """,
        ("INVALID now, or just being built: public.runs_pkey_ccnew.",),
        """
        auto DROP INDEX CONCURRENTLY runs_pkey_ccnew
        a UPDATE runs SET n = 1 WHERE id = 1
        a LOCK TABLE runs IN SHARE MODE
        a COMMIT
        auto REINDEX INDEX CONCURRENTLY runs_pkey
        """,
        kept=True,
    ),
    "two indexes built CONCURRENTLY on one table": Story(
        "concurrently",
        """
        gate UPDATE runs SET n = 1 WHERE id = 1
        auto1 CREATE INDEX CONCURRENTLY one ON runs (n)
        auto2 CREATE INDEX CONCURRENTLY two ON runs (n)
        gate COMMIT
        """,
        ("one after the other", "INVALID index"),
        """
        gate UPDATE runs SET n = 1 WHERE id = 1
        auto1 CREATE INDEX CONCURRENTLY one ON runs (n)
        auto1 CREATE INDEX CONCURRENTLY two ON runs (n)
        gate COMMIT
        """,
    ),
    "migrations that wait for each other's advisory lock": Story(
        "concurrently",
        """
        auto1 SELECT pg_advisory_lock(7)
        auto2 SELECT pg_advisory_lock(7)
        auto1 CREATE INDEX CONCURRENTLY late ON runs (n)
        """,
        ("pg_try_advisory_lock",),
        """
        auto1 SELECT pg_advisory_lock(7)
        auto2 SELECT pg_try_advisory_lock(7)
        auto1 CREATE INDEX CONCURRENTLY late ON runs (n)
        auto1 SELECT pg_advisory_unlock(7)
        auto2 SELECT pg_try_advisory_lock(7)
        """,
    ),
    "a partition detached CONCURRENTLY": Story(
        "concurrently",
        """
        a SELECT * FROM measures_0
        auto ALTER TABLE measures DETACH PARTITION measures_0 CONCURRENTLY
        a LOCK TABLE measures IN SHARE ROW EXCLUSIVE MODE
        """,
        ("FINALIZE",),
        """
        a SELECT * FROM measures_0
        a LOCK TABLE measures IN SHARE ROW EXCLUSIVE MODE
        a COMMIT
        auto ALTER TABLE measures DETACH PARTITION measures_0 FINALIZE
        """,
        kept=True,
        setup="""
        CREATE TABLE measures (id int, n int) PARTITION BY RANGE (id);
        CREATE TABLE measures_0 PARTITION OF measures FOR VALUES FROM (0) TO (1);
        """,
        since=14,
        unsaid=("INVALID",),
    ),
    "advisory locks": Story(
        "advisory",
        """
        a SELECT pg_advisory_xact_lock(1)
        b SELECT pg_advisory_xact_lock(2)
        a SELECT pg_advisory_xact_lock(2)
        b SELECT pg_advisory_xact_lock(1)
        """,
        ("sorted by key",),
        """
        a SELECT pg_advisory_xact_lock(1)
        b SELECT pg_advisory_xact_lock(1)
        a SELECT pg_advisory_xact_lock(2)
        b SELECT pg_advisory_xact_lock(2)
        """,
        """
        a SELECT pg_advisory_xact_lock(0)
        b SELECT pg_advisory_xact_lock(0)
        a SELECT pg_advisory_xact_lock(1)
        b SELECT pg_advisory_xact_lock(2)
        a SELECT pg_advisory_xact_lock(2)
        b SELECT pg_advisory_xact_lock(1)
        """,
    ),
    "advisory locks of two keys, of sessions": Story(
        "advisory",
        """
        auto1 SELECT pg_advisory_lock(3, 1)
        auto2 SELECT pg_advisory_lock(3, 2)
        auto1 SELECT pg_advisory_lock(3, 2)
        auto2 SELECT pg_advisory_lock(3, 1)
        """,
        ("sorted by key", "pg_advisory_unlock"),
        """
        auto1 SELECT pg_advisory_lock(3, 1)
        auto2 SELECT pg_advisory_lock(3, 1)
        auto1 SELECT pg_advisory_lock(3, 2)
        auto1 SELECT pg_advisory_unlock(3, 2), pg_advisory_unlock(3, 1)
        auto2 SELECT pg_advisory_lock(3, 2)
        """,
        """
        a SELECT pg_advisory_xact_lock(3, 1)
        b SELECT pg_advisory_xact_lock(3, 1)
        a SELECT pg_advisory_xact_lock(3, 2)
        b SELECT pg_advisory_xact_lock(3, 2)
        """,
    ),
    "a shared advisory lock, then the exclusive one": Story(
        "advisory",
        """
        a SELECT pg_advisory_xact_lock_shared(1)
        b SELECT pg_advisory_xact_lock_shared(1)
        a SELECT pg_advisory_xact_lock(1)
        b SELECT pg_advisory_xact_lock(1)
        """,
        ("exclusive one first",),
        """
        a SELECT pg_advisory_xact_lock(1)
        b SELECT pg_advisory_xact_lock(1)
        """,
        unsaid=("sorted by key",),
    ),
    "an advisory lock and a row": Story(
        "advisory",
        """
        a SELECT pg_advisory_xact_lock(1)
        b UPDATE runs SET n = 1 WHERE id = 1
        b SELECT pg_advisory_xact_lock(1)
        a UPDATE runs SET n = 1 WHERE id = 1
        """,
        ("advisory lock 1, then public.runs",),
        """
        a SELECT pg_advisory_xact_lock(1)
        b SELECT pg_advisory_xact_lock(1)
        b UPDATE runs SET n = 1 WHERE id = 1
        a UPDATE runs SET n = 1 WHERE id = 1
        """,
    ),
}
