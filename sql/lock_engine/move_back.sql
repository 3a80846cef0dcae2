-- The oldest first, and so many hubs of each kind at once that a cycle is not held up; what is left goes with the next
-- call. Hubs before what points at them; a link when both its ends have arrived.
CREATE OR REPLACE FUNCTION lock_engine.move_back(p_tenants bytea[], p_hubs integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_name text;
  v_keys bytea[];
  v_left bigint := 0;
  v_count bigint;
BEGIN
  FOREACH v_name IN ARRAY ARRAY['lock_activity', 'blocking_session', 'deadlock_event', 'lock_wait_analysis'] LOOP
    EXECUTE format('SELECT array_agg(x.%1$s_hk) FROM (SELECT h.%1$s_hk FROM lock_engine.aside_%1$s_h h '
                   'WHERE h.tenant_hk = ANY ($1) ORDER BY h.load_date LIMIT $2) x', v_name)
      INTO v_keys USING p_tenants, p_hubs;
    CONTINUE WHEN v_keys IS NULL;
    PERFORM lock_engine.shift_rows(v_name || '_h', false, format('t.%s_hk = ANY ($1)', v_name), v_keys, NULL, NULL);
    PERFORM lock_engine.shift_rows(v_name || '_s', false, format('t.%s_hk = ANY ($1)', v_name), v_keys, NULL, NULL);
    EXECUTE format('SELECT count(*) FROM lock_engine.aside_%s_h h WHERE h.tenant_hk = ANY ($1)', v_name)
      INTO v_count USING p_tenants;
    v_left := v_left + v_count;
  END LOOP;
  PERFORM lock_engine.shift_rows('lock_blocking_l', false,
    't.tenant_hk = ANY ($1) AND EXISTS (SELECT FROM ONLY lock_monitoring.lock_activity_h h WHERE h.lock_activity_hk = t.lock_activity_hk) '
    'AND EXISTS (SELECT FROM ONLY lock_monitoring.blocking_session_h h WHERE h.blocking_session_hk = t.blocking_session_hk)',
    p_tenants, NULL, NULL);
  PERFORM lock_engine.shift_rows('deadlock_involvement_l', false,
    't.tenant_hk = ANY ($1) AND EXISTS (SELECT FROM ONLY lock_monitoring.lock_activity_h h WHERE h.lock_activity_hk = t.lock_activity_hk) '
    'AND EXISTS (SELECT FROM ONLY lock_monitoring.deadlock_event_h h WHERE h.deadlock_event_hk = t.deadlock_event_hk)',
    p_tenants, NULL, NULL);
  RETURN v_left;
END
$$;
COMMENT ON FUNCTION lock_engine.move_back(bytea[], integer) IS
  'Moves rows of these tenants from aside into the published tables, at most so many hubs of each kind; how many hubs are left.';
