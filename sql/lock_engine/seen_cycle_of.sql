-- The cycle that a look saw and a record of the log tells of. A record that is only claimed is not proven by a cycle that went
-- otherwise, nor by one that PostgreSQL cannot have ended yet.
CREATE OR REPLACE FUNCTION lock_engine.seen_cycle_of(p_event lock_log.event)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_pids integer[] := CASE WHEN p_event.kind = 'deadlock' AND p_event.detail IS NOT NULL
                           THEN ARRAY(SELECT (x ->> 'pid')::integer FROM jsonb_array_elements(p_event.detail -> 'edges') x)
                           ELSE ARRAY[p_event.pid] END;
  v_whole boolean := p_event.kind = 'deadlock' AND p_event.detail IS NOT NULL;
  -- a log may have whole seconds only, cut off
  v_until timestamptz := p_event.logged_at + CASE WHEN p_event.logged_at = date_trunc('second', p_event.logged_at)
                                                  THEN interval '1.2 seconds' ELSE interval '200 ms' END;
BEGIN
  RETURN (
    SELECT o.observation_key FROM lock_engine.deadlock_observation o
     WHERE v_pids <@ o.all_pids AND (NOT v_whole OR cardinality(v_pids) = cardinality(o.pids))
       AND o.last_seen BETWEEN p_event.logged_at - interval '10 minutes' AND v_until
       AND (o.gone_at IS NULL OR o.gone_at >= p_event.logged_at - interval '200 ms')
       AND NOT EXISTS (SELECT FROM lock_engine.deadlock_capture c WHERE c.deadlock_event_hk = o.deadlock_event_hk AND c.logged)
       AND (p_event.standing IS DISTINCT FROM 'claimed'
            OR o.outcome IS DISTINCT FROM 'resolved otherwise'
               AND NOT EXISTS (SELECT FROM jsonb_array_elements(o.members) m
                                WHERE m -> 'pids' @> to_jsonb(p_event.pid)
                                  AND (m ->> 'wait_start')::timestamptz + current_setting('deadlock_timeout')::interval > v_until))
     ORDER BY abs(extract(epoch FROM o.last_seen - p_event.logged_at)) LIMIT 1);
END
$$;
COMMENT ON FUNCTION lock_engine.seen_cycle_of(lock_log.event) IS
  'Key of the lock_engine.deadlock_observation that a logged deadlock (or a wait that ended in one) is, NULL if none was seen.';
