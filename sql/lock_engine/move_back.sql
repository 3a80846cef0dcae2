-- The oldest first, and so many at once that their tenants' rows are held for some 20 ms: each hub and each link that moves
-- asks for its tenant's row, and holds it until the commit. What is left goes with the next call, in a transaction of its
-- own. Hubs before what points at them; a link when both its ends have arrived.
CREATE OR REPLACE FUNCTION lock_engine.move_back(p_tenants bytea[], p_hubs integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_name text;
  v_other text;
  v_keys bytea[];
  v_room integer := p_hubs;
  v_left bigint := 0;
BEGIN
  FOREACH v_name IN ARRAY ARRAY['lock_activity', 'blocking_session', 'deadlock_event', 'lock_wait_analysis'] LOOP
    EXECUTE format('SELECT coalesce(array_agg(x.%1$s_hk), ''{}'') FROM (SELECT h.%1$s_hk FROM lock_engine.aside_%1$s_h h '
                   'WHERE h.tenant_hk = ANY ($1) ORDER BY h.load_date LIMIT $2) x', v_name)
      INTO v_keys USING p_tenants, v_room + 1;
    v_left := v_left + greatest(0, cardinality(v_keys) - v_room);
    v_keys := v_keys[:v_room];
    CONTINUE WHEN cardinality(v_keys) = 0;
    PERFORM lock_engine.shift_rows(v_name || '_h', false, format('t.%s_hk = ANY ($1)', v_name), v_keys, NULL, NULL);
    PERFORM lock_engine.shift_rows(v_name || '_s', false, format('t.%s_hk = ANY ($1)', v_name), v_keys, NULL, NULL);
    v_room := v_room - cardinality(v_keys);
  END LOOP;
  FOREACH v_name IN ARRAY ARRAY['lock_blocking', 'deadlock_involvement'] LOOP
    v_other := CASE v_name WHEN 'lock_blocking' THEN 'blocking_session' ELSE 'deadlock_event' END;
    EXECUTE format('SELECT coalesce(array_agg(x.link_%1$s_hk), ''{}'') FROM (SELECT t.link_%1$s_hk FROM lock_engine.aside_%1$s_l t '
                   'WHERE t.tenant_hk = ANY ($1) '
                   'AND EXISTS (SELECT FROM ONLY lock_monitoring.lock_activity_h h WHERE h.lock_activity_hk = t.lock_activity_hk) '
                   'AND EXISTS (SELECT FROM ONLY lock_monitoring.%2$s_h h WHERE h.%2$s_hk = t.%2$s_hk) LIMIT $2) x', v_name, v_other)
      INTO v_keys USING p_tenants, v_room + 1;
    v_left := v_left + greatest(0, cardinality(v_keys) - v_room);
    v_keys := v_keys[:v_room];
    CONTINUE WHEN cardinality(v_keys) = 0;
    PERFORM lock_engine.shift_rows(v_name || '_l', false, format('t.link_%s_hk = ANY ($1)', v_name), v_keys, NULL, NULL);
    v_room := v_room - cardinality(v_keys);
  END LOOP;
  RETURN v_left;
END
$$;
COMMENT ON FUNCTION lock_engine.move_back(bytea[], integer) IS
  'Moves rows of these tenants from aside into the published tables, at most so many hubs and links; how many more kinds of them '
  'another call has to move, 0 if none.';
