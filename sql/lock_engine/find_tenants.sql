-- Whose were the rows of which that was not known? The same question as at first: what the session claimed then.
-- p_since: rows that this transaction wrote, where they are (not older than that); NULL: rows that are aside.
CREATE OR REPLACE FUNCTION lock_engine.find_tenants(p_since timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_name text;
  v_of text := CASE WHEN p_since IS NULL THEN 'lock_engine.aside_' ELSE 'lock_monitoring.' END;
  v_only text := CASE WHEN p_since IS NULL THEN '' ELSE 'ONLY ' END;
  v_new text := CASE WHEN p_since IS NULL THEN '' ELSE ' AND %s.load_date >= $1' END;
BEGIN
  FOREACH v_name IN ARRAY ARRAY['lock_activity', 'blocking_session'] LOOP
    EXECUTE format(
      'WITH first AS MATERIALIZED (SELECT DISTINCT ON (s.%1$s_hk) s.%1$s_hk, s.user_name::text, s.application_name::text '
      'FROM %2$s%1$s_s s JOIN %3$s%2$s%1$s_h h ON s.%1$s_hk = h.%1$s_hk WHERE h.tenant_hk = ''''' || format(v_new, 's') || format(v_new, 'h') || ' '
      'ORDER BY s.%1$s_hk, s.load_date), '
      'found AS MATERIALIZED (SELECT p.*, lock_engine.tenant_of(p.user_name, p.application_name) AS tenant_hk '
      'FROM (SELECT DISTINCT f.user_name, f.application_name FROM first f) p) '
      'UPDATE %3$s%2$s%1$s_h h SET tenant_hk = n.tenant_hk FROM first f JOIN found n '
      'ON n.user_name IS NOT DISTINCT FROM f.user_name AND n.application_name IS NOT DISTINCT FROM f.application_name '
      'WHERE h.%1$s_hk = f.%1$s_hk AND n.tenant_hk <> ''''', v_name, v_of, v_only) USING p_since;
  END LOOP;
  EXECUTE format(
    'UPDATE %2$s%1$sdeadlock_event_h h SET tenant_hk = f.tenant_hk '
    'FROM (SELECT s.deadlock_event_hk, lock_engine.tenant_of(m.of ->> ''user'', m.of ->> ''application'') AS tenant_hk '
    'FROM %1$sdeadlock_event_s s CROSS JOIN LATERAL (SELECT coalesce('
    '(SELECT e FROM jsonb_array_elements(s.participants) e WHERE (e ->> ''pid'')::integer = s.deadlock_victim_pid LIMIT 1), '
    's.participants -> 0) AS of) m WHERE s.load_end_date IS NULL' || format(v_new, 's') || ') f '
    'WHERE h.tenant_hk = '''' AND h.deadlock_event_hk = f.deadlock_event_hk AND f.tenant_hk <> ''''', v_of, v_only) USING p_since;
  EXECUTE format(
    'UPDATE %2$s%1$sdeadlock_involvement_l l SET tenant_hk = h.tenant_hk FROM lock_monitoring.deadlock_event_h h '
    'WHERE l.tenant_hk = '''' AND h.deadlock_event_hk = l.deadlock_event_hk AND h.tenant_hk <> ''''' || format(v_new, 'l'), v_of, v_only)
    USING p_since;
  -- a lock that is known from a deadlock's report alone
  EXECUTE format(
    'UPDATE %2$s%1$slock_activity_h h SET tenant_hk = l.tenant_hk FROM lock_monitoring.deadlock_involvement_l l '
    'WHERE h.tenant_hk = '''' AND l.lock_activity_hk = h.lock_activity_hk AND l.tenant_hk <> ''''' || format(v_new, 'h') ||
    ' AND NOT EXISTS (SELECT FROM %1$slock_activity_s s WHERE s.lock_activity_hk = h.lock_activity_hk)', v_of, v_only) USING p_since;
  EXECUTE format(
    'UPDATE %2$s%1$slock_blocking_l l SET tenant_hk = h.tenant_hk FROM lock_monitoring.lock_activity_h h '
    'WHERE l.tenant_hk = '''' AND h.lock_activity_hk = l.lock_activity_hk AND h.tenant_hk <> ''''' || format(v_new, 'l'), v_of, v_only)
    USING p_since;
  IF p_since IS NULL THEN
    PERFORM lock_engine.note_aside(NULL);
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.find_tenants(timestamptz) IS
  'Gives rows whose tenant was not known the one that their claims stand for now: those aside, or those written since p_since.';
