-- Does this session stand before one of these waiters at this moment? Stops at the first one found, so that it costs
-- a few microseconds where the answer is yes. Waits of parallel workers count for their leader.
CREATE OR REPLACE FUNCTION lock_catalog.blocks_any(p_pid integer, p_waiters integer[])
RETURNS boolean
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (SELECT 1 FROM unnest(p_waiters) AS w(pid) WHERE p_pid = ANY (pg_blocking_pids(w.pid)))
$$;
COMMENT ON FUNCTION lock_catalog.blocks_any(integer, integer[]) IS
  'Does the session block one of the waiters now, by a lock it holds or a request it queues ahead of them?';
