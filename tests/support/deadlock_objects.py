"""Stories of deadlocks over tables as a whole, and definitions."""

from __future__ import annotations

from tests.support.deadlock_play import Story

MEASURES = """
CREATE TABLE measures (id int, n int) PARTITION BY RANGE (id);
CREATE TABLE measures_rest PARTITION OF measures DEFAULT;
CREATE TABLE measures_1 (id int, n int);
"""

OBJECTS = {
    "LOCK TABLE to a stronger mode": Story(
        "table, then stronger",
        """
        a LOCK TABLE runs IN SHARE MODE
        b LOCK TABLE runs IN SHARE MODE
        a LOCK TABLE runs IN EXCLUSIVE MODE
        b LOCK TABLE runs IN EXCLUSIVE MODE
        """,
        ("strongest lock first",),
        """
        a LOCK TABLE runs IN EXCLUSIVE MODE
        b LOCK TABLE runs IN EXCLUSIVE MODE
        a LOCK TABLE runs IN SHARE MODE
        b LOCK TABLE runs IN SHARE MODE
        """,
        """
        a LOCK TABLE runs IN EXCLUSIVE MODE
        b LOCK TABLE runs IN EXCLUSIVE MODE
        """,
    ),
    "a change, then LOCK TABLE": Story(
        "table, then stronger",
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        b UPDATE runs SET n = 1 WHERE id = 2
        a LOCK TABLE public.runs IN SHARE ROW EXCLUSIVE MODE
        b LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE
        """,
        ("strongest lock first (LOCK TABLE ... IN SHARE ROW EXCLUSIVE MODE",),
        """
        a LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE
        b LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE
        a UPDATE runs SET n = 1 WHERE id = 1
        b UPDATE runs SET n = 1 WHERE id = 2
        """,
    ),
    "a change, then an index": Story(
        "table, then stronger",
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        b UPDATE runs SET n = 1 WHERE id = 2
        a CREATE INDEX one ON runs (n)
        b CREATE INDEX two ON runs (n)
        """,
        ("strongest lock first (LOCK TABLE ... IN SHARE ROW EXCLUSIVE MODE",),
        """
        a LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE
        b LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE
        a UPDATE runs SET n = 1 WHERE id = 1
        b UPDATE runs SET n = 1 WHERE id = 2
        a CREATE INDEX one ON runs (n)
        b CREATE INDEX two ON runs (n)
        """,
    ),
    "a table as a whole and by its rows": Story(
        "table, then stronger",
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        b SELECT n FROM runs WHERE id = 2 FOR UPDATE
        b LOCK TABLE runs IN SHARE MODE
        a UPDATE runs SET n = 1 WHERE id = 2
        """,
        ("as a whole and by its rows", "LOCK TABLE public.runs IN SHARE ROW EXCLUSIVE MODE"),
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        b LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE
        b SELECT n FROM runs WHERE id = 2 FOR UPDATE
        a UPDATE runs SET n = 1 WHERE id = 2
        """,
    ),
    "ALTER TABLE after SELECT, by both": Story(
        "table, then stronger",
        """
        a SELECT count(*) FROM runs
        b SELECT count(*) FROM runs
        a ALTER TABLE runs ADD c int
        b ALTER TABLE runs ADD d int
        """,
        ("LOCK TABLE ... IN ACCESS EXCLUSIVE MODE as the first statement",),
        """
        a LOCK TABLE runs IN ACCESS EXCLUSIVE MODE
        b LOCK TABLE runs IN ACCESS EXCLUSIVE MODE
        a SELECT count(*) FROM runs
        b SELECT count(*) FROM runs
        a ALTER TABLE runs ADD c int
        b ALTER TABLE runs ADD d int
        """,
    ),
    "a definition changed behind other work": Story(
        "definition",
        """
        a SELECT 1 FROM runs
        b UPDATE parent SET n = 1 WHERE id = 1
        b /* migration */ ALTER TABLE runs ADD c int
        a UPDATE parent SET n = 1 WHERE id = 1
        """,
        ("in a transaction of its own",),
        """
        a SELECT 1 FROM runs
        b UPDATE parent SET n = 1 WHERE id = 1
        b COMMIT
        b ALTER TABLE runs ADD c int
        a UPDATE parent SET n = 1 WHERE id = 1
        """,
        """
        a SELECT 1 FROM runs
        b LOCK TABLE runs IN ACCESS EXCLUSIVE MODE
        b UPDATE parent SET n = 1 WHERE id = 1
        b ALTER TABLE runs ADD c int
        a UPDATE parent SET n = 1 WHERE id = 1
        """,
    ),
    "a foreign key added, alone in its transaction": Story(
        "definition",
        """
        a UPDATE parent SET n = 1 WHERE id = 1
        auto ALTER TABLE runs ADD FOREIGN KEY (id) REFERENCES parent
        a UPDATE runs SET n = 1 WHERE id = 1
        """,
        ("takes several locks", "LOCK TABLE public.parent IN SHARE ROW EXCLUSIVE MODE"),
        """
        a UPDATE parent SET n = 1 WHERE id = 1
        b LOCK TABLE parent IN SHARE ROW EXCLUSIVE MODE
        b ALTER TABLE runs ADD FOREIGN KEY (id) REFERENCES parent
        a UPDATE runs SET n = 1 WHERE id = 1
        """,
        unsaid=("in a transaction of its own",),
    ),
    "a partition attached, alone in its transaction": Story(
        "definition",
        """
        a INSERT INTO measures_1 VALUES (5, 0)
        auto ALTER TABLE measures ATTACH PARTITION measures_1 FOR VALUES FROM (1) TO (10)
        a INSERT INTO measures VALUES (50, 0)
        """,
        ("takes several locks", "public.measures_1, then public.measures_rest", "IN ACCESS EXCLUSIVE MODE"),
        """
        a INSERT INTO measures_1 VALUES (5, 0)
        b LOCK TABLE measures_1 IN ACCESS EXCLUSIVE MODE
        b ALTER TABLE measures ATTACH PARTITION measures_1 FOR VALUES FROM (1) TO (10)
        a INSERT INTO measures VALUES (50, 0)
        """,
        setup=MEASURES,
        unsaid=("in a transaction of its own",),
    ),
    "an index rebuilt against who has read and then writes": Story(
        "definition",
        """
        a SELECT n FROM runs WHERE id = 1
        auto REINDEX INDEX runs_pkey
        a UPDATE runs SET n = 1 WHERE id = 1
        """,
        ("takes several locks", "LOCK TABLE public.runs IN ACCESS EXCLUSIVE MODE"),
        """
        a SELECT n FROM runs WHERE id = 1
        b LOCK TABLE runs IN ACCESS EXCLUSIVE MODE
        b REINDEX INDEX runs_pkey
        a UPDATE runs SET n = 1 WHERE id = 1
        """,
    ),
    "a materialized view refreshed behind other work": Story(
        "definition",
        """
        a SELECT * FROM sums
        b UPDATE runs SET n = 1 WHERE id = 1
        b REFRESH MATERIALIZED VIEW sums
        a UPDATE runs SET n = 1 WHERE id = 1
        """,
        ("in a transaction of its own, when no transaction is open that has used public.sums",),
        """
        a SELECT * FROM sums
        b UPDATE runs SET n = 1 WHERE id = 1
        b COMMIT
        a UPDATE runs SET n = 1 WHERE id = 1
        a COMMIT
        b REFRESH MATERIALIZED VIEW sums
        """,
        setup="CREATE MATERIALIZED VIEW sums AS SELECT sum(n) FROM runs;",
    ),
    "a materialized view refreshed": Story(
        "definition",
        """
        a TRUNCATE runs
        auto REFRESH MATERIALIZED VIEW sums
        a SELECT * FROM sums
        """,
        ("takes several locks", "LOCK TABLE public.runs IN ACCESS SHARE MODE"),
        """
        a TRUNCATE runs
        b LOCK TABLE runs IN ACCESS SHARE MODE
        b REFRESH MATERIALIZED VIEW sums
        a SELECT * FROM sums
        """,
        setup="CREATE MATERIALIZED VIEW sums AS SELECT sum(n) FROM runs;",
    ),
    "TRUNCATE, then the rows loaded": Story(
        "tables",
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        b TRUNCATE staging
        b UPDATE runs SET n = 2 WHERE id = 1
        a SELECT * FROM staging
        """,
        ("public.runs, then public.staging",),
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        b SELECT 1 FROM runs WHERE id = 1 FOR UPDATE
        b TRUNCATE staging
        b UPDATE runs SET n = 2 WHERE id = 1
        a SELECT * FROM staging
        """,
        setup="CREATE TABLE staging (id int);",
    ),
    "a table locked as a whole, and a row": Story(
        "tables",
        """
        a LOCK TABLE runs IN EXCLUSIVE MODE
        b UPDATE parent SET n = 1 WHERE id = 1
        b UPDATE runs SET n = 1 WHERE id = 1
        a UPDATE parent SET n = 1 WHERE id = 1
        """,
        ("in one order everywhere",),
        """
        b UPDATE parent SET n = 1 WHERE id = 1
        a UPDATE parent SET n = 1 WHERE id = 1
        b UPDATE runs SET n = 1 WHERE id = 1
        a LOCK TABLE runs IN EXCLUSIVE MODE
        """,
    ),
}
