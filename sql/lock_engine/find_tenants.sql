-- Whose were the rows of which that could not be read? The same question as at first: what the session claimed then.
CREATE OR REPLACE FUNCTION lock_engine.find_tenants()
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_name text;
BEGIN
  FOREACH v_name IN ARRAY ARRAY['lock_activity', 'blocking_session'] LOOP
    EXECUTE format(
      'WITH first AS MATERIALIZED (SELECT DISTINCT ON (s.%1$s_hk) s.%1$s_hk, s.user_name::text, s.application_name::text '
      'FROM lock_engine.aside_%1$s_h h JOIN lock_engine.aside_%1$s_s s ON s.%1$s_hk = h.%1$s_hk WHERE h.tenant_hk = '''' '
      'ORDER BY s.%1$s_hk, s.load_date), '
      'found AS MATERIALIZED (SELECT p.*, lock_engine.tenant_of(p.user_name, p.application_name) AS tenant_hk '
      'FROM (SELECT DISTINCT f.user_name, f.application_name FROM first f) p) '
      'UPDATE lock_engine.aside_%1$s_h h SET tenant_hk = n.tenant_hk FROM first f JOIN found n '
      'ON n.user_name IS NOT DISTINCT FROM f.user_name AND n.application_name IS NOT DISTINCT FROM f.application_name '
      'WHERE h.%1$s_hk = f.%1$s_hk AND n.tenant_hk <> ''''', v_name);
  END LOOP;
  UPDATE lock_engine.aside_deadlock_event_h h SET tenant_hk = f.tenant_hk
    FROM (SELECT s.deadlock_event_hk, lock_engine.tenant_of(m.of ->> 'user', m.of ->> 'application') AS tenant_hk
            FROM lock_engine.aside_deadlock_event_s s
            CROSS JOIN LATERAL (SELECT coalesce(
              (SELECT e FROM jsonb_array_elements(s.participants) e WHERE (e ->> 'pid')::integer = s.deadlock_victim_pid LIMIT 1),
              s.participants -> 0) AS of) m
           WHERE s.load_end_date IS NULL) f
   WHERE h.tenant_hk = '' AND h.deadlock_event_hk = f.deadlock_event_hk AND f.tenant_hk <> '';
  UPDATE lock_engine.aside_deadlock_involvement_l l SET tenant_hk = h.tenant_hk
    FROM lock_monitoring.deadlock_event_h h
   WHERE l.tenant_hk = '' AND h.deadlock_event_hk = l.deadlock_event_hk AND h.tenant_hk <> '';
  -- a lock that is known from a deadlock's report alone
  UPDATE lock_engine.aside_lock_activity_h h SET tenant_hk = l.tenant_hk
    FROM lock_monitoring.deadlock_involvement_l l
   WHERE h.tenant_hk = '' AND l.lock_activity_hk = h.lock_activity_hk AND l.tenant_hk <> ''
     AND NOT EXISTS (SELECT FROM lock_engine.aside_lock_activity_s s WHERE s.lock_activity_hk = h.lock_activity_hk);
  UPDATE lock_engine.aside_lock_blocking_l l SET tenant_hk = h.tenant_hk
    FROM lock_monitoring.lock_activity_h h
   WHERE l.tenant_hk = '' AND h.lock_activity_hk = l.lock_activity_hk AND h.tenant_hk <> '';
  PERFORM lock_engine.note_aside(NULL);
END
$$;
COMMENT ON FUNCTION lock_engine.find_tenants() IS
  'Looks up again the tenants of rows that are aside because the site''s tables could not be read.';
