-- The waits-for graph now: lock_catalog.graph_of() of everything there is, but for the monitor's own waits.
CREATE OR REPLACE FUNCTION lock_catalog.waits_for()
RETURNS TABLE (
  node bigint, pid integer, backend_start timestamptz, user_name text, is_superuser boolean, database_name text,
  application_name text, client_addr inet, client_hostname text, backend_type text, state text,
  state_change timestamptz, xact_start timestamptz, query_start timestamptz, query text, query_truncated boolean,
  query_id bigint, backend_xid bigint, prepared_gid text, prepared_at timestamptz,
  is_waiting boolean, is_root boolean, in_deadlock boolean,
  lock_type text, lock_mode text, object_key text, object_name text, schema_name text, relation_name text,
  relation_oid oid, database_oid oid, page integer, tuple integer, transactionid bigint,
  wait_start timestamptz, wait_start_is_bound boolean,
  hard_blockers bigint[], soft_blockers bigint[], run_head bigint, run_position integer, run_conflicts_itself boolean,
  parent bigint, roots bigint[],
  blocked_directly integer, blocked_total integer, blocking_since timestamptz, blocked_seconds numeric,
  severity text, kind text, recommended_action text, locks_held integer, exclusive_locks_held integer,
  process integer, waits jsonb, may_be_shared boolean)
LANGUAGE plpgsql
VOLATILE
ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  PERFORM pg_stat_clear_snapshot();
  RETURN QUERY SELECT n.* FROM lock_catalog.graph_of(NULL, NULL, NULL) n;
END
$$;
COMMENT ON FUNCTION lock_catalog.waits_for() IS
  'The waits-for graph now, one row for each waiter and each blocker. Nodes are pids (the leader''s for parallel workers) '
  'or minus the xid of a prepared transaction. process: the one that waits. waits: where the members of a parallel query wait '
  'for several things, each of them, an object with the columns of a wait; the row''s own columns then show the longest of '
  'them, but for the blockers and roots, which are those of all. '
  'may_be_shared: it waits for a row in whose table its holder has changed nothing, so that others may have locked the row, too: PostgreSQL shows one. Durations are seconds. Reads only; needs pg_monitor for other sessions'' texts.';
