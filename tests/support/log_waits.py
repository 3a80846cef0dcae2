"""Waits that are played for the log: one for each kind of lock, and a queue that is rearranged."""

from __future__ import annotations

from typing import Any

from tests.support.log_play import PATIENT, QUICK, STREET, WIDE, Fact, Player
from tests.support.poll import poll
from tests.support.sessions import Session


def transaction_of(session: Session) -> int:
    """The transaction of a session, given one if it has none yet."""
    return int(session.run("SELECT txid_current()")[0][0])


def _row(player: Player, name: str, line: int) -> dict[str, Any]:
    """The columns that tell a row by its place (the rows of these tables are never moved away)."""
    return {"page": 0, "tuple": line, **player.relation(name)}


def _waits(
    player: Player,
    holders: list[tuple[Session, str]],
    want: str,
    mode: str,
    *,
    autocommit: bool = False,
    **columns: Any,
) -> None:
    """A session waits for what others hold, logs that, and gets it when they end."""
    for one, statement in holders:
        one.run(statement)
    waiter = player.session(QUICK)
    if autocommit:
        waiter.connection.autocommit = True
    if columns.get("lock_type") == "transactionid":
        columns["transactionid"] = transaction_of(holders[0][0])
    waiter.start(want)
    player.wait_logged(waiter, 1)
    for one, _ in holders:
        one.run("ROLLBACK")
    waiter.result()
    if not autocommit:
        waiter.run("ROLLBACK")
    player.wait_logged(waiter, 2)
    player.add(
        "waiting", waiter, mode, statement=want, **columns,
        holders=sorted(str(one.pid) for one, _ in holders), queue=[str(waiter.pid)],
    )  # fmt: skip
    player.add("acquired", waiter, mode, statement=want, **columns)


def waits_for_a_transaction(player: Player) -> None:
    """The commonest: a row that another session has changed. CONTEXT names the row."""
    held = [(player.session(PATIENT), "UPDATE part_2024_01 SET n = n WHERE id = 4")]
    _waits(player, held, WIDE.format(4), "ShareLock", lock_type="transactionid")


def waits_for_a_relation(player: Player) -> None:
    """Two readers hold it; met while parsing, so that stderr tells a position."""
    take = f'LOCK TABLE "{STREET.replace(chr(34), chr(34) * 2)}" IN SHARE MODE'
    held = [(player.session(PATIENT), take) for _ in range(2)]
    want = f'DELETE FROM "{STREET.replace(chr(34), chr(34) * 2)}" WHERE false'
    _waits(player, held, want, "RowExclusiveLock", lock_type="relation", **player.relation(STREET))


def waits_for_a_tuple(player: Player) -> None:
    """The second in the queue for a row waits for the first in it."""
    holder, first = player.session(PATIENT), player.session(PATIENT)
    holder.run("UPDATE orders SET n = n WHERE id = 5")
    first.start("UPDATE orders SET n = n WHERE id = 5")
    first.wait_blocked()
    waiter = player.session(QUICK)
    want = "SELECT * FROM orders WHERE id = 5\nFOR UPDATE"
    waiter.start(want)
    player.wait_logged(waiter, 1)
    columns = {"lock_type": "tuple", "statement": want, **_row(player, "orders", 5)}
    player.add(
        "waiting", waiter, "AccessExclusiveLock", holders=[str(first.pid)], queue=[str(waiter.pid)], **columns
    )
    # both rows' versions end where they were: the first keeps the row until the waiter has the tuple's lock
    holder.run("ROLLBACK")
    first.result()
    transaction = transaction_of(first)
    player.wait_logged(waiter, 3)
    first.run("ROLLBACK")
    waiter.result()
    waiter.run("ROLLBACK")
    player.wait_logged(waiter, 4)
    player.add("acquired", waiter, "AccessExclusiveLock", **columns)
    of_it = {"lock_type": "transactionid", "transactionid": transaction, "statement": want}
    player.add("waiting", waiter, "ShareLock", holders=[str(first.pid)], queue=[str(waiter.pid)], **of_it)
    player.add("acquired", waiter, "ShareLock", **of_it)


def waits_for_advisory_locks(player: Player) -> None:
    """With one number and with two."""
    for arguments in ("4711", "47, 11"):
        text = f"SELECT pg_advisory_xact_lock({arguments})"
        _waits(
            player, [(player.session(PATIENT), text)], text, "ExclusiveLock",
            lock_type="advisory", database_oid=player.oid["database"],
        )  # fmt: skip


def waits_for_a_virtual_transaction(player: Player) -> None:
    """CREATE INDEX CONCURRENTLY waits until everybody has ended who may write to the table."""
    holder = player.session(PATIENT)
    holder.run("LOCK TABLE orders IN ROW EXCLUSIVE MODE")
    waiter = player.session(QUICK)
    waiter.connection.autocommit = True
    want = "CREATE INDEX CONCURRENTLY seen_by ON orders (n)"
    waiter.start(want)
    player.wait_logged(waiter, 1)
    holder.run("ROLLBACK")
    waiter.result()
    player.wait_logged(waiter, 2)
    waiter.run("DROP INDEX seen_by")
    more = {"lock_type": "virtualxid", "statement": want}
    player.add("waiting", waiter, "ShareLock", holders=[str(holder.pid)], queue=[str(waiter.pid)], **more)
    player.add("acquired", waiter, "ShareLock", **more)


def waits_for_an_object(player: Player) -> None:
    """A schema, which the log names by its number and its catalog's."""
    text = "COMMENT ON SCHEMA seen IS 'x'"
    _waits(player, [(player.session(PATIENT), text)], text, "ShareUpdateExclusiveLock", lock_type="object")


def rearranged(player: Player) -> None:
    """A deadlock that a change of the queue's order resolves."""
    d1, d2, e1, e2 = player.session(QUICK), *(player.session(PATIENT) for _ in range(3))
    d1.run("LOCK TABLE part_2024_01 IN ACCESS SHARE MODE")
    d2.run("LOCK TABLE orders IN ACCESS SHARE MODE")
    e1.start("LOCK TABLE part_2024_01")
    e1.wait_blocked()
    e2.start("LOCK TABLE orders")
    e2.wait_blocked()
    d2.start("LOCK TABLE part_2024_01 IN ACCESS SHARE MODE")
    d2.wait_blocked()
    want = "LOCK TABLE orders IN ACCESS SHARE MODE"
    d1.start(want)
    poll(lambda: not (d1.busy and d2.busy), 10, "one of both being let past")
    more = {"lock_type": "relation", "statement": want, **player.relation("orders")}
    player.add("rearranged", d1, "AccessShareLock", **more)
    if d1.busy:
        # d2 was let past: the one that checked waits on
        player.add("waiting", d1, "AccessShareLock", **more)
    player.add("acquired", d1, "AccessShareLock", **more)
    for one in (d2, e2, d1, e1):
        if one.busy:
            one.result()
        one.run("ROLLBACK")
    player.wait_logged(d1, 3 if "waiting" in [fact.kind for fact in player.facts[-2:]] else 2)


def autovacuum(player: Player) -> None:
    """Who wants a table that autovacuum is at has it cancelled: a record of a process without a session."""
    table = "kept_2024"
    player.admin.execute(
        f"CREATE TABLE {table} WITH (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0,"
        " autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)"
        " AS SELECT g AS id, repeat('x', 1000) AS note FROM generate_series(1, 2000) g"
    )
    player.admin.execute(f"DELETE FROM {table} WHERE id % 2 = 0")
    player.admin.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
    player.admin.execute("SELECT pg_reload_conf()")
    row = poll(
        lambda: player.admin.execute(
            "SELECT a.pid, l.relation FROM pg_stat_activity a JOIN pg_locks l USING (pid)"
            " WHERE a.backend_type = 'autovacuum worker' AND l.relation = %s::regclass",
            [table],
        ).fetchone(),
        20,
        "autovacuum at the table",
    )
    waiter = player.session(QUICK)
    want = f"LOCK TABLE {table}"
    waiter.start(want)
    waiter.result()
    player.admin.execute("ALTER SYSTEM RESET autovacuum_naptime")
    player.admin.execute("SELECT pg_reload_conf()")
    player.wait_logged(waiter, 2)
    waiter.run("ROLLBACK")
    columns = {
        "lock_type": "relation",
        "relation_oid": row[1],
        "database_oid": player.oid["database"],
        "statement": want,
    }
    player.add("waiting", waiter, "AccessExclusiveLock", **columns)
    player.add("acquired", waiter, "AccessExclusiveLock", **columns)
    cancelled = {"lock_mode": None, "user_name": None, "database_name": None, "statement": None}
    player.facts.append(
        Fact("autovacuum_cancelled", row[0], cancelled | {"sqlstate": "57014"}, relation=table)
    )
    player.admin.execute(f"DROP TABLE {table}")
