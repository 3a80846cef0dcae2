-- What was written since p_since for a hub that is aside goes to where its hub is.
CREATE OR REPLACE FUNCTION lock_engine.follow_hubs(p_since timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_name text;
BEGIN
  -- a link that is aside already was written once more
  DELETE FROM ONLY lock_monitoring.lock_blocking_l l USING lock_engine.aside_lock_blocking_l a
   WHERE a.link_lock_blocking_hk = l.link_lock_blocking_hk;
  PERFORM lock_engine.shift_rows('lock_blocking_l', true,
    't.load_date >= $3 AND t.lock_activity_hk IN (SELECT s.lock_activity_hk FROM lock_monitoring.lock_activity_s s '
    'WHERE s.load_date >= $3) AND (t.lock_activity_hk IN (SELECT h.lock_activity_hk FROM lock_engine.aside_lock_activity_h h) '
    'OR t.blocking_session_hk IN (SELECT h.blocking_session_hk FROM lock_engine.aside_blocking_session_h h))', NULL, NULL, p_since);
  IF EXISTS (SELECT FROM lock_engine.aside_lock_activity_h) OR EXISTS (SELECT FROM lock_engine.aside_deadlock_event_h) THEN
    PERFORM lock_engine.shift_rows('deadlock_involvement_l', true,
      't.load_date >= $3 AND (t.lock_activity_hk IN (SELECT h.lock_activity_hk FROM lock_engine.aside_lock_activity_h h) '
      'OR t.deadlock_event_hk IN (SELECT h.deadlock_event_hk FROM lock_engine.aside_deadlock_event_h h))', NULL, NULL, p_since);
  END IF;
  FOREACH v_name IN ARRAY ARRAY['lock_activity', 'blocking_session', 'deadlock_event', 'lock_wait_analysis'] LOOP
    PERFORM lock_engine.shift_rows(v_name || '_s', true,
      format('t.load_date >= $3 AND t.%1$s_hk IN (SELECT h.%1$s_hk FROM lock_engine.aside_%1$s_h h)', v_name), NULL, NULL, p_since);
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_engine.follow_hubs(timestamptz) IS
  'Moves satellites and links written since then aside where their hub is aside.';
