"""Stories of deadlocks over the rows that foreign keys refer to."""

from __future__ import annotations

from tests.support.deadlock_play import Story

REFERENCES = {
    "a foreign key's check, then FOR UPDATE": Story(
        "foreign key, then change",
        """
        a INSERT INTO child (parent_id) VALUES (1)
        b INSERT INTO child (parent_id) VALUES (1)
        a SELECT 1 FROM parent WHERE id = 1 FOR UPDATE
        b SELECT 1 FROM parent WHERE id = 1 FOR UPDATE
        """,
        ("FOR KEY SHARE of foreign key child_parent_id_fkey", "FOR NO KEY UPDATE in place of FOR UPDATE"),
        """
        a INSERT INTO child (parent_id) VALUES (1)
        b INSERT INTO child (parent_id) VALUES (1)
        a SELECT 1 FROM parent WHERE id = 1 FOR NO KEY UPDATE
        b SELECT 1 FROM parent WHERE id = 1 FOR NO KEY UPDATE
        """,
        """
        a SELECT 1 FROM parent WHERE id = 1 FOR UPDATE
        b SELECT 1 FROM parent WHERE id = 1 FOR UPDATE
        a INSERT INTO child (parent_id) VALUES (1)
        b INSERT INTO child (parent_id) VALUES (1)
        """,
    ),
    "a foreign key's check, then a unique column changed": Story(
        "foreign key, then change",
        """
        a INSERT INTO child (parent_id) VALUES (1)
        b INSERT INTO child (parent_id) VALUES (1)
        a UPDATE parent SET code = 'a' WHERE id = 1
        b UPDATE parent SET code = 'b' WHERE id = 1
        """,
        ("FOR KEY SHARE of foreign key child_parent_id_fkey", "before anything else", "FOR UPDATE"),
        """
        a SELECT 1 FROM parent WHERE id = 1 FOR UPDATE
        b SELECT 1 FROM parent WHERE id = 1 FOR UPDATE
        a INSERT INTO child (parent_id) VALUES (1)
        a UPDATE parent SET code = 'a' WHERE id = 1
        b INSERT INTO child (parent_id) VALUES (1)
        b UPDATE parent SET code = 'b' WHERE id = 1
        """,
    ),
    "a foreign key's check, then a deletion": Story(
        "foreign key, then change",
        """
        a INSERT INTO child (parent_id) VALUES (1)
        b UPDATE child SET parent_id = 1 WHERE id = 2
        a DELETE FROM parent WHERE id = 1
        b DELETE FROM parent WHERE id = 1
        """,
        ("FOR KEY SHARE of foreign key child_parent_id_fkey", "before anything else", "FOR UPDATE"),
        """
        a SELECT 1 FROM parent WHERE id = 1 FOR UPDATE
        b SELECT 1 FROM parent WHERE id = 1 FOR UPDATE
        a INSERT INTO child (parent_id) VALUES (1)
        a DELETE FROM parent WHERE id = 1
        b DELETE FROM parent WHERE id = 1
        """,
    ),
    "one row whose version has moved": Story(
        "foreign key, then change",
        """
        a INSERT INTO child (parent_id) VALUES (1)
        b INSERT INTO child (parent_id) VALUES (1)
        a UPDATE parent SET n = n + 1 WHERE id = 1
        b UPDATE parent SET n = n + 1 WHERE id = 1
        a DELETE FROM parent WHERE id = 1
        """,
        ("FOR KEY SHARE of foreign key child_parent_id_fkey", "before anything else", "FOR UPDATE"),
        """
        a SELECT 1 FROM parent WHERE id = 1 FOR UPDATE
        b SELECT 1 FROM parent WHERE id = 1 FOR UPDATE
        a INSERT INTO child (parent_id) VALUES (1)
        a UPDATE parent SET n = n + 1 WHERE id = 1
        a DELETE FROM parent WHERE id = 1
        b UPDATE parent SET n = n + 1 WHERE id = 1
        """,
        unsaid=("in different orders: sort", "Different statements"),
    ),
    "referenced rows deleted crosswise": Story(
        "foreign key, then change",
        """
        a INSERT INTO child (parent_id) VALUES (1)
        b INSERT INTO child (parent_id) VALUES (2)
        a DELETE FROM parent WHERE id = 2
        b DELETE FROM parent WHERE id = 1
        """,
        ("lock all rows of public.parent", "ORDER BY the primary key FOR UPDATE"),
        """
        a SELECT 1 FROM parent WHERE id IN (1, 2) ORDER BY id FOR UPDATE
        b SELECT 1 FROM parent WHERE id IN (1, 2) ORDER BY id FOR UPDATE
        a INSERT INTO child (parent_id) VALUES (1)
        a DELETE FROM parent WHERE id = 2
        b DELETE FROM parent WHERE id = 1
        """,
    ),
    "referenced rows changed, then referencing ones inserted": Story(
        "foreign key's check",
        """
        a UPDATE parent SET id = 21 WHERE id = 1
        b UPDATE parent SET id = 22 WHERE id = 2
        a INSERT INTO child (parent_id) VALUES (2)
        b INSERT INTO child (parent_id) VALUES (1)
        """,
        ("foreign key's check took part", "or refer to, sorted"),
        """
        a SELECT 1 FROM parent WHERE id IN (1, 2) ORDER BY id FOR UPDATE
        b SELECT 1 FROM parent WHERE id IN (1, 2) ORDER BY id FOR UPDATE
        a UPDATE parent SET id = 21 WHERE id = 1
        a INSERT INTO child (parent_id) VALUES (2)
        """,
    ),
    "a check against a deletion, another row the other way": Story(
        "foreign key's check",
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        b DELETE FROM parent WHERE id = 1
        a INSERT INTO child (parent_id) VALUES (1)
        b UPDATE runs SET n = 2 WHERE id = 1
        """,
        ("foreign key's check took part", "public.parent, then public.runs"),
        """
        a SELECT 1 FROM parent WHERE id = 1 FOR KEY SHARE
        b DELETE FROM parent WHERE id = 1
        a UPDATE runs SET n = 1 WHERE id = 1
        a INSERT INTO child (parent_id) VALUES (1)
        b UPDATE runs SET n = 2 WHERE id = 1
        """,
    ),
    "a deferred check at COMMIT": Story(
        "foreign key's check",
        """
        a UPDATE runs SET n = 1 WHERE id = 1
        a INSERT INTO notes VALUES (1)
        b DELETE FROM parent WHERE id = 1
        b UPDATE runs SET n = 2 WHERE id = 1
        a COMMIT
        """,
        ("foreign key's check took part", "public.parent, then public.runs"),
        """
        a SELECT 1 FROM parent WHERE id = 1 FOR KEY SHARE
        a UPDATE runs SET n = 1 WHERE id = 1
        b SELECT 1 FROM parent WHERE id = 1 FOR UPDATE
        a COMMIT
        b DELETE FROM parent WHERE id = 1
        b UPDATE runs SET n = 2 WHERE id = 1
        """,
        setup="CREATE TABLE notes (parent_id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);",
    ),
}
