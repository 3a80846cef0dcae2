"""What happens in the demo: a small shop whose programs block each other in the ways that real ones do.

Every scene opens its own sessions (at most eight), lasts well under a minute and leaves nothing open.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from lockmon.demo.actors import Stage

Scene = Callable[[Stage, random.Random], None]

ACCOUNTS = 200

_TABLES = """
    CREATE TABLE IF NOT EXISTS demo.accounts
        (id int PRIMARY KEY, owner text NOT NULL, balance numeric NOT NULL) WITH (fillfactor = 50);
    CREATE TABLE IF NOT EXISTS demo.ledger
        (id int PRIMARY KEY, amount numeric NOT NULL) WITH (fillfactor = 50);
    CREATE TABLE IF NOT EXISTS demo.orders
        (id int PRIMARY KEY, account_id int NOT NULL, note text);
    INSERT INTO demo.accounts (id, owner, balance)
        SELECT n, 'customer ' || n, 1000 FROM generate_series(1, 200) AS n ON CONFLICT DO NOTHING;
    INSERT INTO demo.ledger (id, amount)
        SELECT n, 0 FROM generate_series(1, 200) AS n ON CONFLICT DO NOTHING;
    INSERT INTO demo.orders (id, account_id, note)
        SELECT n, n % 200 + 1, 'order ' || n FROM generate_series(1, 2000) AS n ON CONFLICT DO NOTHING;
"""

_PAY = "UPDATE demo.accounts SET balance = balance - %s WHERE id = %s"
_BOOK = "UPDATE demo.ledger SET amount = amount + %s WHERE id = %s"
_READ = "SELECT count(*), sum(length(note)) FROM demo.orders"


def tables(stage: Stage) -> None:
    """Make the shop's tables, where they are missing."""
    with stage.session("setup") as setup:
        setup.execute(_TABLES)
        setup.commit()


def payments(stage: Stage, chance: random.Random) -> None:
    """Short payments, some of them on the same few accounts: small waits that end by themselves."""

    def till() -> None:
        with stage.session("till") as session:
            for _ in range(12):
                account = chance.choice((1, 2, 3, chance.randint(4, ACCOUNTS)))
                session.execute(_PAY, [1, account])
                if stage.pause(chance.uniform(0.05, 0.5)):
                    return
                session.execute(_BOOK, [1, account])
                session.commit()
                if stage.pause(chance.uniform(0.1, 1)):
                    return

    stage.together(till, till, till)


def forgotten_transaction(stage: Stage, chance: random.Random) -> None:
    """A program takes a row and forgets to commit; others queue up behind it."""
    account = chance.randint(10, 20)

    def billing() -> None:
        with stage.session("billing-worker") as session:
            session.execute(_PAY, [10, account])
            if stage.pause(chance.uniform(15, 30)):
                return
            session.commit()

    def api() -> None:
        if stage.pause(chance.uniform(1, 6)):
            return
        with stage.session("api") as session:
            session.execute(_PAY, [1, account])
            session.commit()

    stage.together(billing, *[api] * chance.randint(3, 6))


def queued_ddl(stage: Stage, chance: random.Random) -> None:
    """A report reads for long, a migration queues for the table, and readers queue behind the migration."""

    def report() -> None:
        with stage.session("nightly-report") as session:
            session.execute(_READ)
            if stage.pause(chance.uniform(14, 24)):
                return
            session.commit()

    def migrate() -> None:
        if stage.pause(2):
            return
        with stage.session("migrate") as session:
            session.execute("ALTER TABLE demo.orders ALTER COLUMN note SET DEFAULT 'none'")
            session.commit()

    def reader() -> None:
        if stage.pause(chance.uniform(3, 9)):
            return
        with stage.session("web-shop") as session:
            session.execute(_READ)
            session.commit()

    stage.together(report, migrate, *[reader] * chance.randint(3, 5))


def deadlock(stage: Stage, chance: random.Random) -> None:
    """Two programs take the same two rows in opposite order; PostgreSQL ends one of them."""
    account = chance.randint(30, 40)

    def api() -> None:
        with stage.session("api") as session:
            session.execute(_PAY, [5, account])
            if stage.pause(0.6):
                return
            session.execute(_BOOK, [5, account])
            session.commit()

    def batch() -> None:
        with stage.session("batch") as session:
            session.execute(_BOOK, [-5, account])
            if stage.pause(0.8):
                return
            session.execute(_PAY, [-5, account])
            session.commit()

    stage.together(api, batch)


def one_at_a_time(stage: Stage, chance: random.Random) -> None:
    """Jobs that may only run one at a time take turns on an advisory lock."""

    def job() -> None:
        with stage.session("cron-job") as session:
            session.execute("SELECT pg_advisory_xact_lock(2026, 11)")
            if stage.pause(chance.uniform(3, 6)):
                return
            session.commit()

    stage.together(job, job, job)


# Each with the pause in seconds between its end and its next beginning (shortest, longest).
PROGRAMME: tuple[tuple[Scene, float, float], ...] = (
    (payments, 1, 5),
    (forgotten_transaction, 15, 40),
    (queued_ddl, 40, 90),
    (one_at_a_time, 45, 90),
    (deadlock, 90, 240),
)
