"""Stories of deadlocks over rows that are there: orders, and share locks."""

from __future__ import annotations

from tests.support.deadlock_play import Story

STOCK = """
CREATE TABLE stock (id int PRIMARY KEY, n int);
INSERT INTO stock SELECT g, 0 FROM generate_series(6, 1, -1) g;
"""
MOVE = """
CREATE OR REPLACE PROCEDURE move(p_from int, p_to int) LANGUAGE plpgsql AS $$
BEGIN
  UPDATE runs SET n = n - 1 WHERE id = p_from;
  PERFORM pg_advisory_xact_lock_shared(p_from + 100);
  UPDATE runs SET n = n + 1 WHERE id = p_to;
END $$;
"""
ROWS = {
    "rows in different orders, one table by two names": Story(
        "rows",
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        b UPDATE public.runs SET n = 1 WHERE id = 2
        a UPDATE runs SET n = 1 WHERE id = 2
        b UPDATE public.runs SET n = 1 WHERE id = 1
        """,
        ("in different orders",),
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        b UPDATE runs SET n = 1 WHERE id = 1
        a UPDATE runs SET n = 1 WHERE id = 2
        b UPDATE runs SET n = 1 WHERE id = 2
        """,
        """
        a SELECT 1 FROM runs WHERE id IN (1, 2) ORDER BY id FOR NO KEY UPDATE
        b SELECT 1 FROM runs WHERE id IN (1, 2) ORDER BY id FOR NO KEY UPDATE
        a UPDATE runs SET n = 1 WHERE id = 1
        a UPDATE runs SET n = 1 WHERE id = 2
        b UPDATE public.runs SET n = 1 WHERE id = 2
        b UPDATE public.runs SET n = 1 WHERE id = 1
        """,
    ),
    "one statement over a range, two plans": Story(
        "rows",
        """
        a SET enable_seqscan = off
        a SET enable_bitmapscan = off
        b SET enable_indexscan = off
        b SET enable_bitmapscan = off
        gate UPDATE stock SET n = 9 WHERE id = 2
        a UPDATE stock SET n = n + 1 WHERE id BETWEEN 1 AND 3
        b UPDATE stock SET n = n + 1 WHERE id BETWEEN 1 AND 3
        gate COMMIT
        """,
        ("in different orders", "lock all rows of public.stock", "ORDER BY the primary key FOR UPDATE"),
        """
        a SET enable_seqscan = off
        a SET enable_bitmapscan = off
        b SET enable_indexscan = off
        b SET enable_bitmapscan = off
        gate UPDATE stock SET n = 9 WHERE id = 2
        a SELECT 1 FROM stock WHERE id BETWEEN 1 AND 3 ORDER BY id FOR UPDATE
        b SELECT 1 FROM stock WHERE id BETWEEN 1 AND 3 ORDER BY id FOR UPDATE
        gate COMMIT
        a UPDATE stock SET n = n + 1 WHERE id BETWEEN 1 AND 3
        b UPDATE stock SET n = n + 1 WHERE id BETWEEN 1 AND 3
        """,
        setup=STOCK,
    ),
    "a ring of three, different statements": Story(
        "rows",
        """
        a SELECT n FROM runs WHERE id = 1 FOR UPDATE
        b UPDATE runs SET n = 2 WHERE id = 2
        c DELETE FROM runs WHERE id = 3
        a UPDATE runs SET n = 1 WHERE id = 2
        b DELETE FROM runs WHERE id = 3
        c SELECT n FROM runs WHERE id = 1 FOR UPDATE
        """,
        ("Different statements lock the same rows of public.runs in different orders",),
        """
        a SELECT n FROM runs WHERE id IN (1, 2) ORDER BY id FOR UPDATE
        b SELECT n FROM runs WHERE id IN (2, 3) ORDER BY id FOR UPDATE
        c SELECT n FROM runs WHERE id IN (1, 3) ORDER BY id FOR UPDATE
        a UPDATE runs SET n = 1 WHERE id = 2
        b UPDATE runs SET n = 2 WHERE id = 2
        b DELETE FROM runs WHERE id = 3
        c DELETE FROM runs WHERE id = 3
        """,
    ),
    "a view, an alias and a quoted name of one table": Story(
        "rows",
        """
        a UPDATE "Open Runs" SET n = 1 WHERE id = 1
        b UPDATE ONLY public."Runs" AS r SET n = 1 WHERE r.id = 2
        a UPDATE "Open Runs" SET n = 1 WHERE id = 2
        b UPDATE public."Runs" r SET n = 1 WHERE r.id = 1
        """,
        ("the same rows of public.Runs in different orders",),
        """
        a SELECT 1 FROM "Runs" WHERE id IN (1, 2) ORDER BY id FOR UPDATE
        b SELECT 1 FROM "Runs" WHERE id IN (1, 2) ORDER BY id FOR UPDATE
        a UPDATE "Open Runs" SET n = 1 WHERE id = 1
        a UPDATE "Open Runs" SET n = 1 WHERE id = 2
        b UPDATE public."Runs" r SET n = 1 WHERE r.id = 2
        b UPDATE public."Runs" r SET n = 1 WHERE r.id = 1
        """,
        setup="""
        CREATE TABLE "Runs" (id int PRIMARY KEY, n int);
        INSERT INTO "Runs" SELECT g, 0 FROM generate_series(1, 5) g;
        CREATE VIEW "Open Runs" AS SELECT id, n FROM "Runs" WHERE n < 5;
        """,
    ),
    "partitions of one table, behind a savepoint": Story(
        "rows",
        """
        a SAVEPOINT before
        a UPDATE facts SET n = 1 WHERE id = 1
        b UPDATE facts_2 SET n = 1 WHERE id = 12
        a UPDATE facts SET n = 1 WHERE id = 12
        b UPDATE facts_1 SET n = 1 WHERE id = 1
        """,
        ("the same rows of public.facts in different orders",),
        """
        a SAVEPOINT before
        a SELECT 1 FROM facts WHERE id IN (1, 12) ORDER BY id FOR UPDATE
        b SELECT 1 FROM facts WHERE id IN (1, 12) ORDER BY id FOR UPDATE
        a UPDATE facts SET n = 1 WHERE id = 12
        b UPDATE facts_2 SET n = 1 WHERE id = 12
        b UPDATE facts_1 SET n = 1 WHERE id = 1
        """,
        setup="""
        CREATE TABLE facts (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
        CREATE TABLE facts_1 PARTITION OF facts FOR VALUES FROM (1) TO (10);
        CREATE TABLE facts_2 PARTITION OF facts FOR VALUES FROM (10) TO (20);
        INSERT INTO facts SELECT g, 0 FROM generate_series(1, 15) g;
        """,
    ),
    "rows within a procedure": Story(
        "rows",
        """
        gate SELECT pg_advisory_xact_lock(101), pg_advisory_xact_lock(102)
        a CALL move(1, 2)
        b CALL move(2, 1)
        gate COMMIT
        """,
        ("rows of public.runs in different orders",),
        """
        gate SELECT pg_advisory_xact_lock(101), pg_advisory_xact_lock(102)
        a SELECT 1 FROM runs WHERE id IN (1, 2) ORDER BY id FOR UPDATE
        b SELECT 1 FROM runs WHERE id IN (1, 2) ORDER BY id FOR UPDATE
        a CALL move(1, 2)
        b CALL move(2, 1)
        gate COMMIT
        """,
        setup=MOVE,
    ),
    "two tables": Story(
        "tables",
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        b UPDATE parent SET n = 1 WHERE id = 1
        a UPDATE parent SET n = 1 WHERE id = 1
        b UPDATE runs SET n = 1 WHERE id = 1
        """,
        ("in one order everywhere",),
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        b UPDATE runs SET n = 1 WHERE id = 1
        a UPDATE parent SET n = 1 WHERE id = 1
        b UPDATE parent SET n = 1 WHERE id = 1
        """,
    ),
    "a ring of three over three tables": Story(
        "tables",
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        b UPDATE parent SET n = 1 WHERE id = 1
        c UPDATE stock SET n = 1 WHERE id = 1
        a UPDATE parent SET n = 1 WHERE id = 1
        b UPDATE stock SET n = 1 WHERE id = 1
        c UPDATE runs SET n = 1 WHERE id = 1
        """,
        ("in one order everywhere: for example public.parent, then public.runs, then public.stock",),
        """
        b UPDATE parent SET n = 1 WHERE id = 1
        a UPDATE parent SET n = 1 WHERE id = 1
        c UPDATE runs SET n = 1 WHERE id = 1
        a UPDATE runs SET n = 1 WHERE id = 1
        b UPDATE stock SET n = 1 WHERE id = 1
        c UPDATE stock SET n = 1 WHERE id = 1
        """,
        setup=STOCK,
    ),
    "a cascade against who changes the referencing row first": Story(
        "tables",
        """
        a UPDATE child SET n = 1 WHERE id = 1
        b DELETE FROM parent WHERE id = 1
        a UPDATE parent SET n = 1 WHERE id = 1
        """,
        ("in one order everywhere: for example public.parent, then public.child",),
        """
        a SELECT 1 FROM parent WHERE id = 1 FOR UPDATE
        a UPDATE child SET n = 1 WHERE id = 1
        b DELETE FROM parent WHERE id = 1
        a UPDATE parent SET n = 1 WHERE id = 1
        """,
    ),
    "a join locked, and its tables one by one": Story(
        "tables",
        """
        a UPDATE child SET n = 1 WHERE id = 1
        b SELECT 1 FROM child c JOIN parent p ON c.parent_id = p.id WHERE p.id = 1 FOR UPDATE OF p, c
        a UPDATE parent SET n = 1 WHERE id = 1
        """,
        ("in one order everywhere: for example public.parent, then public.child",),
        """
        a SELECT 1 FROM parent WHERE id = 1 FOR UPDATE
        b SELECT 1 FROM parent WHERE id = 1 FOR UPDATE
        a UPDATE child SET n = 1 WHERE id = 1
        a UPDATE parent SET n = 1 WHERE id = 1
        b SELECT 1 FROM child c JOIN parent p ON c.parent_id = p.id WHERE p.id = 1 FOR UPDATE OF p, c
        """,
        unsaid=("are locked by a statement on",),
    ),
    "FOR SHARE, then a change": Story(
        "share, then change",
        """
        a SELECT 1 FROM runs WHERE id = 1 FOR SHARE
        b SELECT 1 FROM runs WHERE id = 1 FOR SHARE
        a UPDATE runs SET n = 1 WHERE id = 1
        b UPDATE runs SET n = 1 WHERE id = 1
        """,
        ("more weakly before (SELECT ... FOR SHARE)", "lock all rows of public.runs"),
        """
        a SELECT 1 FROM runs WHERE id = 1 FOR UPDATE
        b SELECT 1 FROM runs WHERE id = 1 FOR UPDATE
        a UPDATE runs SET n = 1 WHERE id = 1
        b UPDATE runs SET n = 1 WHERE id = 1
        """,
    ),
    "FOR SHARE by three, then a deletion": Story(
        "share, then change",
        """
        a SELECT 1 FROM public.runs WHERE id = 1 FOR SHARE
        b SELECT 1 FROM runs r WHERE id = 1 FOR SHARE OF r
        c SELECT 1 FROM runs WHERE id = 1 FOR SHARE
        a DELETE FROM public.runs WHERE id = 1
        b UPDATE runs SET n = 1 WHERE id = 1
        c DELETE FROM runs WHERE id = 1
        """,
        ("more weakly before (SELECT ... FOR SHARE)", "ORDER BY the primary key FOR UPDATE"),
        """
        a SELECT 1 FROM runs WHERE id = 1 FOR UPDATE
        b SELECT 1 FROM runs WHERE id = 1 FOR UPDATE
        c SELECT 1 FROM runs WHERE id = 1 FOR UPDATE
        a DELETE FROM runs WHERE id = 1
        b UPDATE runs SET n = 1 WHERE id = 1
        c DELETE FROM runs WHERE id = 1
        """,
        times=2,
    ),
    "FOR KEY SHARE, then FOR UPDATE": Story(
        "share, then change",
        """
        a SELECT 1 FROM runs WHERE id = 1 FOR KEY SHARE
        b SELECT 1 FROM runs WHERE id = 1 FOR KEY SHARE
        a SELECT n FROM runs WHERE id = 1 FOR UPDATE
        b SELECT n FROM runs WHERE id = 1 FOR UPDATE
        """,
        ("before anything else",),
        """
        a SELECT 1 FROM runs WHERE id = 1 FOR UPDATE
        b SELECT 1 FROM runs WHERE id = 1 FOR UPDATE
        a SELECT n FROM runs WHERE id = 1 FOR UPDATE
        b SELECT n FROM runs WHERE id = 1 FOR UPDATE
        """,
    ),
}
