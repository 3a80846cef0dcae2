"""Stories of deadlocks over keys inserted, rows behind triggers, and statements that say nothing."""

from __future__ import annotations

from tests.support.deadlock_play import Story

TOTALS = """
CREATE TABLE totals (customer int PRIMARY KEY, n int);
INSERT INTO totals VALUES (1, 0), (2, 0);
CREATE TABLE sales (id int PRIMARY KEY, customer int, n int);
INSERT INTO sales VALUES (1, 1, 1), (2, 1, 1);
CREATE OR REPLACE FUNCTION add_up() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN UPDATE totals SET n = n + NEW.n WHERE customer = NEW.customer; RETURN NULL; END $$;
CREATE TRIGGER add_up AFTER INSERT OR UPDATE ON sales FOR EACH ROW EXECUTE FUNCTION add_up();
"""
TOUCH = """
CREATE OR REPLACE FUNCTION touch(p_id int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE runs SET n = n + 1 WHERE id = p_id;
END $$;
"""
MEMBERS = """
CREATE TABLE members (id int PRIMARY KEY, mail text UNIQUE, nick text UNIQUE);
"""
BOOKINGS = """
CREATE TABLE bookings (during int4range, EXCLUDE USING gist (during WITH &&));
"""

KEYS = {
    "keys inserted": Story(
        "keys inserted",
        """
        a INSERT INTO runs VALUES (11, 0)
        b INSERT INTO runs VALUES (12, 0) ON CONFLICT (id) DO UPDATE SET n = 1
        a INSERT INTO runs VALUES (12, 0) ON CONFLICT (id) DO NOTHING
        b INSERT INTO runs VALUES (11, 0) ON CONFLICT (id) DO UPDATE SET n = 1
        """,
        ("sorted by that unique key",),
        """
        a INSERT INTO runs VALUES (11, 0)
        b INSERT INTO runs VALUES (11, 0) ON CONFLICT (id) DO UPDATE SET n = 1
        a INSERT INTO runs VALUES (12, 0) ON CONFLICT (id) DO NOTHING
        b INSERT INTO runs VALUES (12, 0) ON CONFLICT (id) DO UPDATE SET n = 1
        """,
    ),
    "upserts in bulk": Story(
        "keys inserted",
        """
        gate INSERT INTO runs VALUES (12, 0)
        a INSERT INTO runs VALUES (11, 0), (12, 0), (13, 0) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n
        b INSERT INTO runs VALUES (13, 0), (12, 0), (11, 0) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n
        gate ROLLBACK
        """,
        ("sorted by that unique key",),
        """
        gate INSERT INTO runs VALUES (12, 0)
        a INSERT INTO runs VALUES (11, 0), (12, 0), (13, 0) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n
        b INSERT INTO runs VALUES (11, 0), (12, 0), (13, 0) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n
        gate ROLLBACK
        """,
    ),
    "upserts in bulk of rows that are there": Story(
        "keys inserted",
        """
        gate UPDATE runs SET n = 3 WHERE id = 2
        a INSERT INTO runs VALUES (1, 0), (2, 0), (3, 0) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n
        b INSERT INTO runs VALUES (3, 0), (2, 0), (1, 0) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n
        gate ROLLBACK
        """,
        ("sorted",),
        """
        gate UPDATE runs SET n = 3 WHERE id = 2
        a INSERT INTO runs VALUES (1, 0), (2, 0), (3, 0) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n
        b INSERT INTO runs VALUES (1, 0), (2, 0), (3, 0) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n
        gate ROLLBACK
        """,
    ),
    "two unique keys of one table": Story(
        "keys inserted",
        """
        a INSERT INTO members VALUES (1, 'a', 'x')
        b INSERT INTO members VALUES (2, 'b', 'y')
        a INSERT INTO members VALUES (3, 'c', 'y')
        b INSERT INTO members VALUES (4, 'a', 'z')
        """,
        ("several unique keys",),
        """
        a LOCK TABLE members IN SHARE ROW EXCLUSIVE MODE
        b LOCK TABLE members IN SHARE ROW EXCLUSIVE MODE
        a INSERT INTO members VALUES (1, 'a', 'x')
        a INSERT INTO members VALUES (3, 'c', 'y')
        a COMMIT
        b INSERT INTO members VALUES (2, 'b', 'q')
        b INSERT INTO members VALUES (4, 'e', 'z')
        """,
        setup=MEMBERS,
        unsaid=("sorted by that unique key",),
    ),
    "keys of two tables": Story(
        "keys inserted",
        """
        a INSERT INTO runs VALUES (11, 0)
        b INSERT INTO members VALUES (1, 'a', 'x')
        a INSERT INTO members VALUES (1, 'b', 'y') ON CONFLICT DO NOTHING
        b INSERT INTO runs VALUES (11, 0) ON CONFLICT DO NOTHING
        """,
        ("in one order everywhere: for example",),
        """
        a INSERT INTO members VALUES (1, 'b', 'y') ON CONFLICT DO NOTHING
        b INSERT INTO members VALUES (1, 'a', 'x') ON CONFLICT DO NOTHING
        a INSERT INTO runs VALUES (11, 0) ON CONFLICT DO NOTHING
        b INSERT INTO runs VALUES (11, 0) ON CONFLICT DO NOTHING
        """,
        setup=MEMBERS,
        unsaid=("sorted by that unique key",),
    ),
    "an exclusion constraint": Story(
        "exclusion constraint",
        """
        a INSERT INTO bookings VALUES ('[1,3]')
        b INSERT INTO bookings VALUES ('[5,7]')
        a INSERT INTO bookings VALUES ('[6,8]') ON CONFLICT DO NOTHING
        b INSERT INTO bookings VALUES ('[2,4]') ON CONFLICT DO NOTHING
        """,
        ("exclusion constraint", "sorted by the constraint's columns"),
        """
        a INSERT INTO bookings VALUES ('[1,3]')
        b INSERT INTO bookings VALUES ('[2,4]') ON CONFLICT DO NOTHING
        a INSERT INTO bookings VALUES ('[6,8]') ON CONFLICT DO NOTHING
        b INSERT INTO bookings VALUES ('[5,7]') ON CONFLICT DO NOTHING
        """,
        setup=BOOKINGS,
    ),
    "a trigger that adds up, rows in different orders": Story(
        "trigger",
        """
        a INSERT INTO sales VALUES (11, 1, 1)
        b INSERT INTO sales VALUES (12, 2, 1)
        a INSERT INTO sales VALUES (13, 2, 1)
        b INSERT INTO sales VALUES (14, 1, 1)
        """,
        ("trigger add_up of public.sales", "public.totals"),
        """
        a SELECT 1 FROM totals WHERE customer IN (1, 2) ORDER BY customer FOR UPDATE
        b SELECT 1 FROM totals WHERE customer IN (1, 2) ORDER BY customer FOR UPDATE
        a INSERT INTO sales VALUES (11, 1, 1)
        a INSERT INTO sales VALUES (13, 2, 1)
        b INSERT INTO sales VALUES (12, 2, 1)
        b INSERT INTO sales VALUES (14, 1, 1)
        """,
        setup=TOTALS,
        unsaid=("sorted by that unique key",),
    ),
    "a trigger that adds up, and the table it is on": Story(
        "trigger",
        """
        a UPDATE sales SET n = 2 WHERE id = 1
        b UPDATE sales SET n = 3 WHERE id = 2
        a UPDATE sales SET n = 4 WHERE id = 2
        """,
        ("trigger add_up of public.sales", "public.totals, then public.sales"),
        """
        a SELECT 1 FROM totals WHERE customer = 1 FOR UPDATE
        a UPDATE sales SET n = 2 WHERE id = 1
        b SELECT 1 FROM totals WHERE customer = 1 FOR UPDATE
        b UPDATE sales SET n = 3 WHERE id = 2
        a UPDATE sales SET n = 4 WHERE id = 2
        """,
        setup=TOTALS,
    ),
    "statements that say nothing, by the log alone": Story(
        "says nothing",
        """
        a SELECT touch(1)
        b SELECT touch(2)
        a SELECT touch(2)
        b SELECT touch(1)
        """,
        ("cannot be concluded",),
        setup=TOUCH,
        concluded=False,
        blind=True,
        unsaid=("The same statement",),
    ),
    "an upgrade within DO": Story(
        "says nothing",
        """
        a DO $$ BEGIN PERFORM 1 FROM runs WHERE id = 1 FOR SHARE; END $$
        b DO $$ BEGIN PERFORM 1 FROM runs WHERE id = 1 FOR SHARE; END $$
        a DO $$ BEGIN UPDATE runs SET n = 1 WHERE id = 1; END $$
        b DO $$ BEGIN UPDATE runs SET n = 1 WHERE id = 1; END $$
        """,
        ("cannot be concluded",),
        concluded=False,
        unsaid=("The same statement", "sort the rows"),
    ),
    "prepared statements, by the log alone": Story(
        "says nothing",
        """
        a PREPARE x (int) AS UPDATE runs SET n = 1 WHERE id = $1
        b PREPARE x (int) AS UPDATE runs SET n = 1 WHERE id = $1
        a EXECUTE x (1)
        b EXECUTE x (2)
        a EXECUTE x (2)
        b EXECUTE x (1)
        """,
        ("cannot be concluded",),
        concluded=False,
        blind=True,
        unsaid=("The same statement",),
    ),
}
