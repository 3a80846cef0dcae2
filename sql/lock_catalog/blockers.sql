-- lock_catalog.blockers: whom each waiter waits for, as PostgreSQL says it. Each costs the square of its queue: lock_catalog.waits_for() asks
-- for the head of each class of like waiters only.
CREATE OR REPLACE VIEW lock_catalog.blockers AS
SELECT w.pid, pg_catalog.pg_blocking_pids(w.pid) AS blockers
  FROM (SELECT DISTINCT l.pid FROM pg_catalog.pg_lock_status() l WHERE NOT l.granted) w;
COMMENT ON VIEW lock_catalog.blockers IS
  'pg_blocking_pids() of every process that waits for a lock now; 0 stands for a prepared transaction. See lock_catalog.graph_given().';
