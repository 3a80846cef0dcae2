"""A parallel query whose workers wait for tables, real sessions all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.conftest import Connect, OpenSession
from tests.support import scenes
from tests.support.poll import poll
from tests.support.sessions import Session
from tests.support.stored import Row, Stored
from tests.support.tangle import prepare

WAITS = "SELECT * FROM lock_monitoring.lock_activity_s WHERE NOT lock_granted AND table_name IN ('t0', 't1')"
READ_ONE = """
CREATE FUNCTION app.read_one(p_id int) RETURNS int LANGUAGE plpgsql PARALLEL SAFE AS $$
DECLARE v_group int := (SELECT coalesce(a.leader_pid, a.pid) FROM pg_stat_activity a WHERE a.pid = pg_backend_pid());
        v_name text;
BEGIN
  IF current_setting('app.tables', true) IS NULL THEN RETURN p_id; END IF;
  -- which one it is, it knows when all of them are there; later on it has its lock
  LOOP
    PERFORM pg_stat_clear_snapshot();
    EXIT WHEN (SELECT count(*) FROM pg_stat_activity a WHERE a.leader_pid = v_group)
              >= cardinality(string_to_array(current_setting('app.tables'), ','))
         OR EXISTS (SELECT FROM pg_locks l JOIN unnest(string_to_array(current_setting('app.tables'), ',')) t (name)
                       ON l.relation = to_regclass('app.' || t.name)
                     WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation');
    PERFORM pg_sleep(0.01);
  END LOOP;
  SELECT k.name INTO v_name
    FROM unnest(string_to_array(current_setting('app.tables'), ',')) WITH ORDINALITY k (name, n)
   WHERE k.n = (SELECT x.n FROM (SELECT a.pid, row_number() OVER (ORDER BY a.pid) AS n FROM pg_stat_activity a
                                  WHERE a.leader_pid = v_group) x WHERE x.pid = pg_backend_pid());
  IF v_name IS NOT NULL THEN EXECUTE format('SELECT 1 FROM app.%I LIMIT 1', v_name); END IF;
  RETURN p_id;
END $$
"""  # noqa: E501


class ParallelScene:
    """A vault that is watched, and sessions that lock tables and read them with parallel workers."""

    def __init__(self, dsn: str, session: OpenSession, connect: Connect) -> None:
        prepare(dsn)
        self.dsn, self.session = dsn, session
        self.stored = Stored(connect(dsn))
        self.stored.connection.execute(READ_ONE)
        scenes.watched(self.stored.connection)

    def lock(self, table: str) -> Session:
        """A session that holds a table."""
        one = self.session(self.dsn, application_name=f"holder of {table}")
        one.run(f"LOCK TABLE app.{table} IN ACCESS EXCLUSIVE MODE")
        return one

    def query(self, *tables: str) -> Session:
        """A query, each of whose workers reads one of these tables, and waits for it."""
        one = self.session(self.dsn, application_name="parallel query")
        version = int(self.stored.connection.info.server_version) // 10000
        for name, value in (
            ("max_parallel_workers_per_gather", str(len(tables))),
            ("parallel_setup_cost", "0"),
            ("parallel_tuple_cost", "0"),
            ("min_parallel_table_scan_size", "0"),
            ("parallel_leader_participation", "off"),
            ("force_parallel_mode" if version < 16 else "debug_parallel_query", "off"),
            ("app.tables", f"'{','.join(tables)}'"),
        ):
            one.run(f"SET {name} = {value}")
        one.start("SELECT sum(app.read_one(id)) FROM app.big")
        self.waiting(one, len(tables))
        return one

    def waiting(self, query: Session, workers: int) -> None:
        """Wait until so many workers of the query wait."""
        poll(
            lambda: (
                self.stored.value(
                    "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                    " WHERE NOT l.granted AND a.leader_pid = %s",
                    query.pid,
                )
                == workers
            ),
            20,
            f"{workers} workers that wait",
        )

    def cycle_until(self, found: Callable[[list[Row]], bool], what: str) -> list[Row]:
        """Run cycles until the rows of waits for tables, oldest first, are so."""

        def rows() -> list[Row] | None:
            self.stored.cycle()
            now = self.stored.rows(f"{WAITS} ORDER BY wait_start, load_date")
            return now if found(now) else None

        return poll(rows, 15, what)

    def wait_a_while(self) -> None:
        """Run cycles until the waits have lasted for 0.6 s."""
        self.cycle_until(
            lambda rows: bool(rows) and (self.now() - rows[0]["load_date"]).total_seconds() > 0.6,
            "0.6 seconds",
        )

    def now(self) -> datetime:
        """The server's time."""
        moment = self.stored.value("SELECT clock_timestamp()")
        assert isinstance(moment, datetime)
        return moment

    def lost(self, dimension: str) -> dict[Any, tuple[float, int]]:
        """Seconds and how many of the last hour, by the second name of the dimension's values."""
        return {
            row["table_name"] or row["name"]: (row["seconds"], row["episodes"])
            for row in self.stored.rows(
                "SELECT * FROM lock_engine.losses_between(%s, clock_timestamp() - interval '1 hour',"
                " clock_timestamp())",
                [dimension],
            )
        }
