-- Who waited right behind an episode at a moment, as a graph that lock_catalog.freeing() takes. The vault rewrites only the head of a run of like
-- waiters when its blockers change, so those behind it have its blockers; the order in a run is that in which they began to wait.
CREATE OR REPLACE FUNCTION lock_admin.past_waits(p_episode bytea, p_at timestamptz)
RETURNS lock_catalog.graph[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN ARRAY(
    WITH w AS MATERIALIZED (
      SELECT coalesce(s.lock_group, s.lock_pid)::bigint AS node, s.wait_start, s.wait_start_is_bound, s.lock_type, s.lock_mode,
             s.object_key, s.row_tuple, coalesce(s.run_head, coalesce(s.lock_group, s.lock_pid)) AS run_head,
             coalesce(s.blocking_nodes, '{}') AS hard, coalesce(s.soft_blocking_nodes, '{}') AS soft
        FROM (SELECT DISTINCT l.lock_activity_hk FROM lock_monitoring.lock_blocking_l AS l WHERE l.blocking_session_hk = p_episode) AS k
        JOIN lock_monitoring.lock_activity_s AS s ON s.lock_activity_hk = k.lock_activity_hk
       WHERE NOT s.lock_granted AND s.load_date <= p_at AND coalesce(s.load_end_date, 'infinity') > p_at),
    headed AS (
      SELECT w.node, w.wait_start, w.wait_start_is_bound, w.lock_type, w.lock_mode, w.row_tuple, w.run_head,
             coalesce(h.hard, w.hard) AS hard, coalesce(h.soft, w.soft) AS soft,
             row_number() OVER (PARTITION BY w.run_head, w.object_key, w.lock_mode ORDER BY w.wait_start, w.node) AS place
        FROM w LEFT JOIN LATERAL (
          SELECT x.hard, x.soft FROM w AS x
           WHERE x.node = w.run_head AND x.object_key = w.object_key AND x.lock_mode = w.lock_mode LIMIT 1) AS h ON true)
    SELECT jsonb_populate_record(NULL::lock_catalog.graph, jsonb_build_object(
             'node', d.node, 'is_waiting', true, 'lock_type', d.lock_type, 'tuple', d.row_tuple, 'run_head', d.run_head, 'run_position', d.place,
             'run_conflicts_itself',
               d.lock_mode IN ('ShareUpdateExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'),
             'hard_blockers', d.hard, 'soft_blockers', d.soft, 'wait_start', d.wait_start, 'wait_start_is_bound', d.wait_start_is_bound,
             'blocked_total', EXISTS (SELECT FROM headed AS o WHERE d.node = ANY (o.hard || o.soft))::integer))
      FROM headed AS d);
END
$$;
COMMENT ON FUNCTION lock_admin.past_waits(bytea, timestamptz) IS
  'The waits right behind a stored blocking episode at a moment, as rows of lock_catalog.graph; empty where none is stored.';
