-- A log without milliseconds tells of what another tells with them: the first of its like in a second is the first of the other's. %t is
-- asked for each line before the other time is, so that one across the end of a second has the earlier one.
CREATE OR REPLACE FUNCTION lock_log.merge_seconds(p_from timestamptz, p_to timestamptz)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_merged integer;
BEGIN
  WITH coarse AS (
    SELECT c.*, row_number() OVER (PARTITION BY c.kind, c.pid, c.logged_at, c.lock_mode, c.waited_ms ORDER BY c.at_byte, c.event_id) AS n
      FROM lock_log.event c
     WHERE c.whole_seconds AND c.logged_at BETWEEN date_trunc('second', p_from) AND p_to),
  pair AS (
    SELECT c.event_id AS coarse_id, c.deadlock_event_hk, c.ledger_id, f.event_id
      FROM coarse c
     CROSS JOIN LATERAL (
       SELECT e.event_id FROM lock_log.event e
        WHERE e.whole_seconds IS NOT TRUE AND e.pid = c.pid AND e.kind = c.kind AND e.logged_at >= c.logged_at AND e.logged_at < c.logged_at + interval '1.1 seconds'
          AND e.lock_mode IS NOT DISTINCT FROM c.lock_mode AND e.waited_ms IS NOT DISTINCT FROM c.waited_ms
        ORDER BY e.logged_at, e.event_id OFFSET c.n - 1 LIMIT 1) f),
  gone AS (
    DELETE FROM lock_log.event e USING pair p WHERE e.event_id = p.coarse_id RETURNING e.event_id)
  UPDATE lock_log.event e SET deadlock_event_hk = coalesce(e.deadlock_event_hk, p.deadlock_event_hk), ledger_id = coalesce(e.ledger_id, p.ledger_id), handled = e.handled OR p.deadlock_event_hk IS NOT NULL
    FROM pair p WHERE e.event_id = p.event_id;
  GET DIAGNOSTICS v_merged = ROW_COUNT;
  RETURN v_merged;
END
$$;
COMMENT ON FUNCTION lock_log.merge_seconds(timestamptz, timestamptz) IS
  'Takes away the records without milliseconds in this time that another log tells with them; how many.';
