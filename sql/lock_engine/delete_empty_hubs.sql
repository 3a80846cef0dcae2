-- Deletes of these hubs the ones that nothing points at: no row, no link, no session or deadlock that may still write them.
CREATE OR REPLACE FUNCTION lock_engine.delete_empty_hubs(p_is text, p_before timestamptz, p_hubs bytea[], p_living text[])
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
  v_nothing text;
  v_hubs bytea[];
  v_deleted bigint;
BEGIN
  -- what is aside of a partitioned satellite is not read through it
  v_nothing := format('NOT EXISTS (SELECT FROM lock_monitoring.%1$s_s s WHERE s.%1$s_hk = h.%1$s_hk) '
                      'AND NOT EXISTS (SELECT FROM lock_engine.aside_%1$s_s a WHERE a.%1$s_hk = h.%1$s_hk)', p_is)
    || CASE WHEN p_is IN ('lock_activity', 'blocking_session') THEN
         format(' AND NOT EXISTS (SELECT FROM lock_monitoring.lock_blocking_l l WHERE l.%1$s_hk = h.%1$s_hk)', p_is) ELSE '' END
    || CASE WHEN p_is IN ('lock_activity', 'deadlock_event') THEN
         format(' AND NOT EXISTS (SELECT FROM lock_monitoring.deadlock_involvement_l l WHERE l.%1$s_hk = h.%1$s_hk)', p_is) ELSE '' END;
  -- found, locked so that nobody can refer to them any more, and only then looked at for good
  EXECUTE format('SELECT coalesce(array_agg(h.hk), ''{}'') FROM ('
                 'SELECT h.%1$s_hk AS hk FROM lock_monitoring.%1$s_h h WHERE h.%1$s_hk = ANY ($1) AND h.load_date < $2 AND %2$s '
                 'AND split_part(h.%1$s_bk, ''|'', 1) || ''|'' || split_part(h.%1$s_bk, ''|'', 2) <> ALL ($3) '
                 'FOR UPDATE SKIP LOCKED) h', p_is, v_nothing)
    INTO v_hubs USING p_hubs, p_before, p_living;
  EXECUTE format('DELETE FROM lock_monitoring.%1$s_h h WHERE h.%1$s_hk = ANY ($1) AND %2$s', p_is, v_nothing) USING v_hubs;
  GET DIAGNOSTICS v_deleted = ROW_COUNT;
  RETURN v_deleted;
END
$$;
COMMENT ON FUNCTION lock_engine.delete_empty_hubs(text, timestamptz, bytea[], text[]) IS
  'Deletes those of p_hubs (of the hub table p_is || ''_h'') that were loaded before p_before, have neither rows nor links and that '
  'none of p_living may write; how many.';
