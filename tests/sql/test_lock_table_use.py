"""How full the lock table is said to be, against a server that runs out of room."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
import pytest

from lockmon.install import SQL_FOLDER, install
from tests.conftest import Connect
from tests.support.servers import throwaway

QUESTION = "SELECT objects, object_places, holders, percent FROM lock_catalog.lock_table_use"


def use(look: psycopg.Connection[Any]) -> tuple[int, int, int, Decimal]:
    (row,) = look.execute(QUESTION).fetchall()
    return row[0], row[1], row[2], row[3]


@pytest.mark.parametrize(
    "settings",
    [
        {"max_connections": "20", "max_locks_per_transaction": "10"},
        {"max_connections": "60", "max_locks_per_transaction": "12", "max_prepared_transactions": "40"},
        {"max_connections": "30", "max_locks_per_transaction": "64", "max_worker_processes": "20"},
    ],
    ids=["small", "prepared", "wide"],
)
def test_nothing_fails_below_a_hundred_percent(settings: dict[str, str]) -> None:
    with throwaway(settings) as server:
        dsn = server.dsn(server.create_database())
        # an install takes more locks at once than so small a table has room for
        with psycopg.connect(dsn, autocommit=True) as look:
            look.execute("CREATE SCHEMA lock_catalog")
            for name in ("locks", "lock_table_use"):
                look.execute((SQL_FOLDER / "lock_catalog" / f"{name}.sql").read_text(encoding="utf-8"))
            with psycopg.connect(dsn) as taker:
                taken = 0
                with pytest.raises(psycopg.errors.OutOfMemory):
                    while True:
                        taker.execute(
                            "SELECT pg_advisory_lock(g) FROM generate_series(%s::int, %s) g",
                            [taken, taken + 9],
                        )
                        taken += 10
                        objects, places, _, percent = use(look)
                        assert objects >= taken and percent >= Decimal(100 * taken) / places - 1
                assert taken >= places, (taken, places)


def test_readers_of_the_same_tables_take_the_same_places(vault_db: str, connect: Connect) -> None:
    """Ten readers of 300 partitions were 91 percent of a table of which they take a tenth."""
    look = connect(vault_db)
    look.execute("CREATE TABLE parted (n int) PARTITION BY LIST (n)")
    look.execute(
        "DO $$BEGIN FOR i IN 1..100 LOOP EXECUTE"
        " format('CREATE TABLE parted_%s PARTITION OF parted FOR VALUES IN (%s)', i, i); END LOOP; END$$"
    )
    before = use(look)
    readers = [connect(vault_db) for _ in range(5)]
    for one in readers:
        one.execute("BEGIN")
        one.execute("LOCK TABLE parted IN SHARE MODE")  # which the fast path does not take
    objects, places, holders, percent = use(look)
    # what the question itself takes differs by one or two
    assert abs(objects - before[0] - 101) <= 2 and abs(holders - before[2] - 505) <= 2
    assert percent == max(round(Decimal(100 * objects) / places, 1), round(Decimal(50 * holders) / places, 1))


def test_an_update_corrects_the_alert_that_nobody_changed(site: str, connect: Connect) -> None:
    living = connect(site)
    open_row = (
        "SELECT alert_query, warning_threshold, is_active, changed_by FROM monitoring.alert_configuration_s"
        " WHERE alert_name = 'Lock table filling up' AND load_end_date IS NULL"
    )
    (before,) = living.execute(open_row).fetchall()
    assert install(site).changed
    (after,) = living.execute(open_row).fetchall()
    assert after == ("SELECT percent FROM lock_catalog.lock_table_use", before[1], before[2], "update")
    assert not install(site, again=True).changed
    assert living.execute(open_row).fetchall() == [after]
