-- A satellite that a site has partitioned has no child, so a cycle does not see its rows that are aside and writes them anew.
-- What it wrote since p_since is put together with them here: the same state goes on in the row that is aside, another
-- one ends it, and a row that a whole cycle did not write again has ended: when exactly, and how, nobody saw.
CREATE OR REPLACE FUNCTION lock_engine.join_aside(p_since timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_name text;
  v_goes_on bytea[];
  v_stored timestamptz := (SELECT c.stored_at FROM lock_engine.cycle_state c
                            WHERE c.cycle_state_id = 1 AND c.stored_at >= p_since AND c.digest IS NOT NULL);
BEGIN
  FOREACH v_name IN ARRAY ARRAY['lock_activity', 'blocking_session'] LOOP
    CONTINUE WHEN lock_engine.has_place_aside(v_name || '_s');
    EXECUTE format('WITH same AS (DELETE FROM lock_monitoring.%1$s_s t USING lock_engine.aside_%1$s_s a '
                   'WHERE t.%1$s_hk = a.%1$s_hk AND t.load_date >= $1 AND t.load_end_date IS NULL AND a.load_end_date IS NULL '
                   'AND t.hash_diff = a.hash_diff RETURNING t.%1$s_hk AS hk) '
                   'SELECT coalesce(array_agg(s.hk), ''{}'') FROM same s', v_name) INTO v_goes_on USING p_since;
    EXECUTE format('UPDATE lock_engine.aside_%1$s_s a SET load_end_date = t.load_date FROM lock_monitoring.%1$s_s t '
                   'WHERE t.%1$s_hk = a.%1$s_hk AND t.load_date >= $1 AND t.load_date > a.load_date AND a.load_end_date IS NULL',
                   v_name) USING p_since;
    IF v_stored IS NOT NULL THEN
      EXECUTE format('UPDATE lock_engine.aside_%1$s_s a SET load_end_date = $1, %2$s '
                     'WHERE a.load_end_date IS NULL AND a.load_date < $1 AND a.%1$s_hk <> ALL ($2)', v_name,
                     CASE v_name WHEN 'lock_activity' THEN 'resolution_action = ''unknown'', resolution_timestamp = $1'
                                 ELSE 'ended_how = ''unknown'', ended_at = $1' END) USING v_stored, v_goes_on;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_engine.join_aside(timestamptz) IS
  'Puts rows written since then together with those aside of the same hub, where the table is partitioned and has no child.';
