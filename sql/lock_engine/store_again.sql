-- What was set aside until now, before all else is stored: what became of it in between nobody saw, as in a gap. Its open rows
-- end where they were seen last, how: unknown; what PostgreSQL proves to be the same lock or wait goes on.
CREATE OR REPLACE FUNCTION lock_engine.store_again(
  p_part text, p_now timestamptz, p_min_age interval, p_everything boolean, p_own_pids integer[], p_waiting integer,
  p_unseen_since timestamptz, p_blockers lock_catalog.graph[], p_seen jsonb)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_records bigint[];
  v_unseen_since timestamptz;
  v_others bigint[];
BEGIN
  SELECT p.records,
         -- a gap that ended when it was set aside, or since
         least(p.failing_since, p_unseen_since, (SELECT min(g.gap_start) FROM lock_engine.coverage_gap g
                                                  WHERE g.gap_end > p.failing_since - interval '5 seconds'))
    INTO v_records, v_unseen_since FROM lock_engine.part_state p
   WHERE p.part = p_part AND p.failures_in_a_row > 0 AND cardinality(p.records) > 0;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  v_others := ARRAY(SELECT x.record FROM unnest(lock_engine.records_of(p_part, p_blockers, p_seen)) x (record) WHERE x.record <> ALL (v_records));
  IF p_part = 'episodes' THEN
    -- rows of no node that is known
    v_others := v_others || 0::bigint;
  END IF;
  PERFORM lock_engine.store_part(p_part, p_now, p_min_age, p_everything, p_own_pids, p_waiting > 0, v_unseen_since, p_blockers, p_seen, v_others);
  RETURN true;
EXCEPTION
  WHEN OTHERS THEN
    -- it still fails, which its part will count
    IF lock_engine.ends_all(SQLSTATE) THEN
      RAISE;
    END IF;
    RETURN false;
END
$$;
COMMENT ON FUNCTION lock_engine.store_again(text, timestamptz, interval, boolean, integer[], integer, timestamptz, lock_catalog.graph[], jsonb) IS
  'Tries what a part (locks, episodes) has set aside before; whether anything could be stored now. Called by lock_engine.store_look.';
