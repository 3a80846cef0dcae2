-- Takes rows written since p_since out of the published tables: those of the given tenants (NULL: of all), and what
-- hangs on them. Satellites and links go before their hubs, as a hub that is still pointed at cannot go.
CREATE OR REPLACE FUNCTION lock_engine.set_aside(p_since timestamptz, p_tenants bytea[], p_reason text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_locks bytea[];
  v_sessions bytea[];
  v_events bytea[];
BEGIN
  v_locks := ARRAY(
    SELECT h.lock_activity_hk FROM ONLY lock_monitoring.lock_activity_h h
     WHERE h.load_date >= p_since AND (p_tenants IS NULL OR h.tenant_hk = ANY (p_tenants))
       AND (h.lock_activity_hk IN (SELECT s.lock_activity_hk FROM lock_monitoring.lock_activity_s s WHERE s.load_date >= p_since)
            OR h.lock_activity_hk IN (SELECT l.lock_activity_hk FROM ONLY lock_monitoring.deadlock_involvement_l l
                                       WHERE l.load_date >= p_since)));
  v_sessions := ARRAY(
    SELECT h.blocking_session_hk FROM ONLY lock_monitoring.blocking_session_h h
     WHERE h.load_date >= p_since AND (p_tenants IS NULL OR h.tenant_hk = ANY (p_tenants))
       AND h.blocking_session_hk IN (SELECT s.blocking_session_hk FROM lock_monitoring.blocking_session_s s
                                      WHERE s.load_date >= p_since));
  v_events := ARRAY(
    SELECT h.deadlock_event_hk FROM ONLY lock_monitoring.deadlock_event_h h
     WHERE h.load_date >= p_since AND (p_tenants IS NULL OR h.tenant_hk = ANY (p_tenants)));

  PERFORM lock_engine.shift_rows('lock_blocking_l', true,
    't.load_date >= $3 AND t.lock_activity_hk IN (SELECT s.lock_activity_hk FROM lock_monitoring.lock_activity_s s '
    'WHERE s.load_date >= $3) AND (t.lock_activity_hk = ANY ($1) OR t.blocking_session_hk = ANY ($2))', v_locks, v_sessions, p_since);
  PERFORM lock_engine.shift_rows('lock_blocking_l', true,
    't.load_date >= $3 AND ($1 IS NULL OR t.tenant_hk = ANY ($1)) AND t.lock_activity_hk IN (SELECT s.lock_activity_hk '
    'FROM lock_monitoring.lock_activity_s s WHERE s.load_date >= $3)', p_tenants, NULL, p_since);
  PERFORM lock_engine.shift_rows('deadlock_involvement_l', true,
    't.load_date >= $3 AND (t.lock_activity_hk = ANY ($1) OR t.deadlock_event_hk = ANY ($2))', v_locks, v_events, p_since);
  PERFORM lock_engine.shift_rows('deadlock_involvement_l', true,
    't.load_date >= $3 AND ($1 IS NULL OR t.tenant_hk = ANY ($1))', p_tenants, NULL, p_since);
  PERFORM lock_engine.shift_rows('lock_activity_s', true, 't.lock_activity_hk = ANY ($1)', v_locks, NULL, p_since);
  PERFORM lock_engine.shift_rows('blocking_session_s', true, 't.blocking_session_hk = ANY ($1)', v_sessions, NULL, p_since);
  PERFORM lock_engine.shift_rows('deadlock_event_s', true, 't.deadlock_event_hk = ANY ($1)', v_events, NULL, p_since);
  PERFORM lock_engine.shift_rows('lock_activity_h', true, 't.lock_activity_hk = ANY ($1)', v_locks, NULL, p_since);
  PERFORM lock_engine.shift_rows('blocking_session_h', true, 't.blocking_session_hk = ANY ($1)', v_sessions, NULL, p_since);
  PERFORM lock_engine.shift_rows('deadlock_event_h', true, 't.deadlock_event_hk = ANY ($1)', v_events, NULL, p_since);
  PERFORM lock_engine.note_aside(p_reason);
END
$$;
COMMENT ON FUNCTION lock_engine.set_aside(timestamptz, bytea[], text) IS
  'Moves what was written since then for these tenants (NULL: for all) into the tables beside the vault''s.';
