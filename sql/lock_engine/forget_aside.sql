-- Retention of rows that are aside and not read through their table, as that is partitioned: what has expired goes in its time,
-- however long its tenant stays locked. What a living session may still write stays, as elsewhere, and so does a lock whose deadlock does.
-- Rows that are moving at this moment are somebody's: they are left to the next cleanup.
CREATE OR REPLACE FUNCTION lock_engine.forget_aside(p_before timestamptz, p_rows integer, p_living text[])
RETURNS jsonb
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  v_is text;
  v_stays text;
  v_keys bytea[];
  v_last bytea[];
  v_rows bigint;
  v_links bigint;
  v_deleted jsonb := '{}';
BEGIN
  FOREACH v_is IN ARRAY ARRAY['deadlock_event', 'lock_activity', 'blocking_session', 'lock_wait_analysis'] LOOP
    CONTINUE WHEN lock_engine.has_place_aside(v_is || '_s');
    v_stays := CASE v_is WHEN 'lock_activity'
      THEN ' AND NOT EXISTS (SELECT FROM lock_monitoring.deadlock_involvement_l l WHERE l.lock_activity_hk = s.lock_activity_hk)' ELSE '' END;
    EXECUTE format('WITH gone AS (DELETE FROM lock_engine.aside_%1$s_s d USING ('
                   'SELECT s.ctid AS place FROM lock_engine.aside_%1$s_s s WHERE %2$s%3$s '
                   'AND NOT EXISTS (SELECT FROM lock_monitoring.%1$s_h h WHERE h.%1$s_hk = s.%1$s_hk '
                   'AND split_part(h.%1$s_bk, ''|'', 1) || ''|'' || split_part(h.%1$s_bk, ''|'', 2) = ANY ($2)) '
                   'LIMIT $3 FOR UPDATE SKIP LOCKED) x WHERE d.ctid = x.place RETURNING d.%1$s_hk AS hk) '
                   'SELECT count(*), coalesce(array_agg(DISTINCT g.hk), ''{}'') FROM gone g', v_is,
                   CASE v_is WHEN 'deadlock_event' THEN '(s.load_end_date < $1 OR (s.load_end_date IS NULL AND s.deadlock_timestamp < $1))'
                             WHEN 'lock_wait_analysis' THEN '(s.load_end_date < $1 OR (s.load_end_date IS NULL AND s.analysis_period_end < $1))'
                             ELSE 's.load_end_date < $1' END, v_stays)
      INTO v_rows, v_keys USING p_before, p_living, p_rows;
    CONTINUE WHEN v_rows = 0;
    EXECUTE format('SELECT coalesce(array_agg(k.hk), ''{}'') FROM unnest($1) k (hk) '
                   'WHERE NOT EXISTS (SELECT FROM lock_monitoring.%1$s_s s WHERE s.%1$s_hk = k.hk) '
                   'AND NOT EXISTS (SELECT FROM lock_engine.aside_%1$s_s a WHERE a.%1$s_hk = k.hk)', v_is) INTO v_last USING v_keys;
    v_deleted := lock_engine.add_counts(v_deleted, jsonb_build_object(v_is || '_s', v_rows));
    IF v_is <> 'lock_wait_analysis' THEN
      EXECUTE format('DELETE FROM lock_monitoring.%s l WHERE l.%s_hk = ANY ($1)',
                     CASE v_is WHEN 'deadlock_event' THEN 'deadlock_involvement_l' ELSE 'lock_blocking_l' END, v_is) USING v_last;
      GET DIAGNOSTICS v_links = ROW_COUNT;
      v_deleted := lock_engine.add_counts(v_deleted, jsonb_build_object(
        CASE v_is WHEN 'deadlock_event' THEN 'deadlock_involvement_l' ELSE 'lock_blocking_l' END, v_links));
    END IF;
    v_deleted := lock_engine.add_counts(v_deleted, jsonb_build_object(v_is || '_h',
      lock_engine.delete_empty_hubs(v_is, p_before, v_last, p_living)));
  END LOOP;
  RETURN v_deleted;
END
$$;
COMMENT ON FUNCTION lock_engine.forget_aside(timestamptz, integer, text[]) IS
  'Deletes up to p_rows expired rows of each table aside that is not read through the published one, with their links and hubs; rows a '
  'table, {} when none is left. Part of lock_engine.delete_batch.';
