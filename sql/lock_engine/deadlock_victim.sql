-- Which member of a vanished cycle was ended, when, and how sure that is (0: nothing speaks for a deadlock).
-- The victim is the member whose own check fell between the last look at the living cycle and the first at which it was
-- gone (its wait began deadlock_timeout before), and whose transaction or statement has failed.
CREATE OR REPLACE FUNCTION lock_engine.deadlock_victim(
  p_members jsonb, p_evidence jsonb, p_last_seen timestamptz, p_gone_at timestamptz, p_timeout interval,
  OUT pid integer, OUT happened_at timestamptz, OUT score integer)
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- a check before the ring was closed ended nothing
  v_closed timestamptz := (SELECT max((m ->> 'wait_start')::timestamptz) FROM jsonb_array_elements(p_members) m);
BEGIN
  SELECT x.pid, CASE WHEN x.in_time THEN x.checks_at ELSE p_last_seen + (p_gone_at - p_last_seen) / 2 END, x.points
    INTO pid, happened_at, score
    FROM (
      SELECT (m ->> 'pid')::integer AS pid, t.checks_at, t.in_time,
             CASE WHEN t.in_time THEN 6 ELSE 0 END
             + CASE WHEN e ->> 'state' = 'idle in transaction (aborted)' THEN 5 ELSE 0 END
             -- aborted may also be a client's own ROLLBACK, so that it does not outweigh an earlier check
             + CASE e ->> 'transaction' WHEN 'aborted' THEN CASE WHEN t.in_time THEN 0 ELSE 2 END
                                        WHEN 'committed' THEN -6 ELSE 0 END
             + CASE WHEN NOT coalesce((e ->> 'same_statement')::boolean, false) THEN 1 ELSE 0 END AS points
        FROM jsonb_array_elements(p_members) m
        JOIN jsonb_array_elements(p_evidence) e ON e ->> 'pid' = m ->> 'pid'
        CROSS JOIN LATERAL (SELECT coalesce((m ->> 'wait_start')::timestamptz, (m ->> 'query_start')::timestamptz) + p_timeout AS checks_at) c
        CROSS JOIN LATERAL (SELECT c.checks_at, coalesce(c.checks_at BETWEEN p_last_seen - interval '300 ms' AND p_gone_at
                                    AND c.checks_at > coalesce(v_closed, '-infinity'), false) AS in_time) t
       -- a client that disconnected after the error is gone by now
       WHERE NOT coalesce((e ->> 'still_waiting')::boolean, false)) x
   ORDER BY x.points DESC, x.checks_at LIMIT 1;
  score := coalesce(score, 0);
END
$$;
COMMENT ON FUNCTION lock_engine.deadlock_victim(jsonb, jsonb, timestamptz, timestamptz, interval) IS
  'The member of a vanished cycle that PostgreSQL ended, the moment, and points: 6 and more speak for a deadlock.';
