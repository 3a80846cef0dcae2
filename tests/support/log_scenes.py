"""What is played for the log: every kind of record about locks, and texts that are hard to read."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from tests.support import log_waits
from tests.support.log_play import PART, PATIENT, QUICK, STREET, WIDE, Player, failed
from tests.support.log_waits import transaction_of
from tests.support.poll import poll
from tests.support.sessions import Session


def rows_in_a_ring(player: Player) -> None:
    """A deadlock by rows, both statements of many lines."""
    a, b = player.session(QUICK), player.session(PATIENT)
    a.run("UPDATE part_2024_01 SET n = n WHERE id = 1")
    b.run("UPDATE part_2024_01 SET n = n WHERE id = 2")
    first, second = transaction_of(a), transaction_of(b)
    b.start(WIDE.format(1))
    b.wait_blocked()
    a.start(WIDE.format(2))
    failed(a, psycopg.errors.DeadlockDetected)
    b.result()
    b.run("ROLLBACK")
    player.add(
        "deadlock_wait", a, "ShareLock", lock_type="transactionid", transactionid=second,
        statement=WIDE.format(2), holders=[str(b.pid)], queue=[],
    )  # fmt: skip
    player.add(
        "deadlock", a, None, sqlstate="40P01", statement=WIDE.format(2),
        edges=[[a.pid, "ShareLock", b.pid], [b.pid, "ShareLock", a.pid]],
        statements={str(a.pid): WIDE.format(2), str(b.pid): WIDE.format(1)},
    )  # fmt: skip
    assert first != second


def tables_in_a_ring(player: Player) -> None:
    """A deadlock by tables that are met while the statement is parsed: stderr says at which character."""
    a, b = player.session(QUICK), player.session(PATIENT)
    a.run("LOCK TABLE part_2024_01")
    b.run("LOCK TABLE orders")
    mine, other = "INSERT INTO orders VALUES (100)", "INSERT INTO part_2024_01\nVALUES (100)"
    b.start(other)
    b.wait_blocked()
    a.start(mine)
    failed(a, psycopg.errors.DeadlockDetected)
    b.result()
    b.run("ROLLBACK")
    player.add(
        "deadlock_wait", a, "RowExclusiveLock", lock_type="relation", statement=mine,
        **player.relation("orders"), holders=[str(b.pid)], queue=[],
    )  # fmt: skip
    player.add(
        "deadlock", a, None, sqlstate="40P01", statement=mine,
        edges=[[a.pid, "RowExclusiveLock", b.pid], [b.pid, "RowExclusiveLock", a.pid]],
        statements={str(a.pid): mine, str(b.pid): other},
    )  # fmt: skip


def ring_of_three(player: Player) -> None:
    """An advisory lock, a table and a row; one statement looks like a line of the DETAIL."""
    a, b, c = player.session(QUICK), player.session(PATIENT), player.session(PATIENT)
    a.run("SELECT pg_advisory_xact_lock(7)")
    b.run("LOCK TABLE orders IN SHARE MODE")
    c.run("UPDATE part_2024_01 SET n = n WHERE id = 3")
    texts = (
        "UPDATE orders SET n = 2\nWHERE id = 9",
        f"SELECT 1\n/* Process 1:\tx */ FROM {PART}\nWHERE id = 3 FOR UPDATE",
        "SELECT pg_advisory_xact_lock(7)",
    )
    b.start(texts[1])
    b.wait_blocked()
    c.start(texts[2])
    c.wait_blocked()
    a.start(texts[0])
    failed(a, psycopg.errors.DeadlockDetected)
    c.result()
    c.run("ROLLBACK")
    b.result()
    b.run("ROLLBACK")
    player.add(
        "deadlock_wait", a, "RowExclusiveLock", lock_type="relation", statement=texts[0],
        **player.relation("orders"), holders=[str(b.pid)], queue=[],
    )  # fmt: skip
    player.add(
        "deadlock", a, None, sqlstate="40P01", statement=texts[0],
        edges=[
            [a.pid, "RowExclusiveLock", b.pid], [b.pid, "ShareLock", c.pid], [c.pid, "ExclusiveLock", a.pid],
        ],
        statements={str(one.pid): text for one, text in zip((a, b, c), texts, strict=True)},
    )  # fmt: skip


def caught(player: Player) -> None:
    """A deadlock whose error PL/pgSQL catches: it is not logged, the wait that found it is."""
    a, b = player.session(QUICK), player.session(PATIENT)
    a.run("UPDATE orders SET n = n WHERE id = 1")
    b.run("UPDATE orders SET n = n WHERE id = 2")
    second = transaction_of(b)
    b.start("UPDATE orders SET n = n WHERE id = 1")
    b.wait_blocked()
    text = (
        "DO $$ BEGIN\n\tUPDATE orders SET n = n WHERE id = 2;\n"
        "EXCEPTION WHEN deadlock_detected THEN NULL; END $$"
    )
    a.start(text)
    a.result()
    a.run("ROLLBACK")
    b.result()
    player.add(
        "deadlock_wait", a, "ShareLock", lock_type="transactionid", transactionid=second, statement=text,
        holders=[str(b.pid)], queue=[],
    )  # fmt: skip


def lock_timeouts(player: Player) -> None:
    """At a row (CONTEXT names it) without having logged a wait, and at a table after having logged one."""
    holder = player.session(PATIENT)
    holder.run("UPDATE part_2024_01 SET n = n WHERE id = 5")
    waiter = player.session(PATIENT)
    waiter.run("SET LOCAL lock_timeout = '20ms'")
    want = "UPDATE part_2024_01 SET n = n WHERE id = 5"
    waiter.start(want)
    failed(waiter, psycopg.errors.LockNotAvailable)
    player.add("lock_timeout", waiter, None, sqlstate="55P03", statement=want, relation=PART)
    waiter = player.session(QUICK)
    waiter.run("SET LOCAL lock_timeout = '150ms'")
    want = "TRUNCATE part_2024_01"
    waiter.start(want)
    failed(waiter, psycopg.errors.LockNotAvailable)
    player.add(
        "waiting", waiter, "AccessExclusiveLock", lock_type="relation", statement=want,
        **player.relation(PART), holders=[str(holder.pid)], queue=[str(waiter.pid)],
    )  # fmt: skip
    # PostgreSQL itself logs that the wait has failed
    player.add("lock_timeout", waiter, None, sqlstate="55P03", statement=want)


def refusals(player: Player) -> None:
    """NOWAIT, at a table and at a row, of names that hold digits, quotes and other letters."""
    holder = player.session(PATIENT)
    holder.run("UPDATE part_2024_01 SET n = n WHERE id = 6")
    holder.run('UPDATE "Straße ""9""" SET n = n WHERE id = 6')
    for want, name in (
        ("LOCK TABLE part_2024_01 IN ACCESS EXCLUSIVE MODE NOWAIT", PART),
        ("SELECT * FROM part_2024_01 WHERE id = 6\nFOR UPDATE NOWAIT", PART),
        ('LOCK TABLE "Straße ""9""" NOWAIT', STREET),
        ('SELECT FROM "Straße ""9""" WHERE id = 6 FOR UPDATE NOWAIT', STREET),
    ):
        one = player.session(QUICK)
        one.start(want)
        failed(one, psycopg.errors.LockNotAvailable)
        player.add(
            "not_available", one, None, sqlstate="55P03", statement=want, relation=name,
            lock_type="relation" if want.startswith("LOCK") else "tuple",
        )  # fmt: skip


def refusals_that_name_the_holder(player: Player) -> None:
    """PostgreSQL 18 says on wish who holds the row that NOWAIT asks for."""
    holder = player.session(PATIENT)
    holder.run("UPDATE orders SET n = n WHERE id = 8")
    one = player.session(QUICK)
    one.run("SET log_lock_failures = on")
    want = "SELECT FROM orders WHERE id = 8 FOR UPDATE NOWAIT"
    one.start(want)
    failed(one, psycopg.errors.LockNotAvailable)
    player.add(
        "lock_failure", one, "ShareLock", lock_type="transactionid", transactionid=transaction_of(holder),
        statement=want, holders=[str(holder.pid)],
    )  # fmt: skip
    player.add(
        "not_available", one, None, sqlstate="55P03", statement=want, relation="orders", lock_type="tuple"
    )


def cancels(player: Player) -> None:
    """By a user and by statement_timeout: while waiting for a row, for an advisory lock, and for nothing."""
    holder = player.session(PATIENT)
    holder.run("UPDATE orders SET n = n WHERE id = 7")
    holder.run("SELECT pg_advisory_xact_lock(77)")
    row, number, nothing = (
        "UPDATE orders SET n = n WHERE id = 7",
        "SELECT pg_advisory_xact_lock(77)",
        "SELECT pg_sleep(30)",
    )
    for by_timeout in (False, True):
        for want, timeout in ((row, PATIENT), (number, QUICK), (nothing, QUICK)):
            one = player.session(timeout)
            if by_timeout:
                one.run("SET LOCAL statement_timeout = '150ms'")
            one.start(want)
            if want == number:
                player.wait_logged(one, 1)
                player.add(
                    "waiting", one, "ExclusiveLock", lock_type="advisory", statement=want,
                    holders=[str(holder.pid)], queue=[str(one.pid)], database_oid=player.oid["database"],
                )  # fmt: skip
            elif want == row:
                one.wait_blocked()
            else:
                _begun(player, one)
            if not by_timeout:
                player.admin.execute("SELECT pg_cancel_backend(%s)", [one.pid])
            failed(one, psycopg.errors.QueryCanceled)
            if want != nothing:
                relation = "orders" if want == row else None
                player.add("cancelled", one, None, sqlstate="57014", statement=want, relation=relation)


def _begun(player: Player, session: Session) -> None:
    poll(
        lambda: player.admin.execute(
            "SELECT true FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'", [session.pid]
        ).fetchone(),
        10,
        "a session that sleeps",
    )


def nothing_about_locks(player: Player) -> None:
    """Records that must give no event: of background processes, errors, and words about locks."""
    player.admin.execute("CHECKPOINT")
    one = player.session(QUICK)
    one.connection.autocommit = True
    for text in (
        "SELECT acquired_at FROM orders -- deadlock detected",
        "SELECT 'process 1 still waiting for ShareLock on transaction 5 after 1000.000 ms'::int",
        "DO $$ BEGIN RAISE LOG 'two\n\tlines: %',"
        " 'process 1 acquired ShareLock on transaction 5 after 1.000 ms'; END $$",
        "SELECT 1 +",
    ):
        one.start(text)
        try:
            one.result()
        except psycopg.Error:
            continue


SCENES: tuple[Callable[[Player], None], ...] = (
    rows_in_a_ring,
    tables_in_a_ring,
    nothing_about_locks,
    ring_of_three,
    caught,
    log_waits.waits_for_a_transaction,
    log_waits.waits_for_a_relation,
    log_waits.waits_for_a_tuple,
    log_waits.waits_for_advisory_locks,
    log_waits.waits_for_a_virtual_transaction,
    log_waits.waits_for_an_object,
    log_waits.rearranged,
    lock_timeouts,
    refusals,
    cancels,
)
"""All of them, in the order of a play."""
