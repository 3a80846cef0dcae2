-- By the keys themselves, not by a name: whoever owns auth.tenant_h can rename it and put another table in its place.
CREATE OR REPLACE FUNCTION lock_engine.key_tables()
RETURNS oid[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
  RETURN ARRAY(
    SELECT DISTINCT k.confrelid FROM pg_constraint k
     WHERE k.conrelid = ANY (ARRAY[
             'lock_monitoring.lock_activity_h', 'lock_monitoring.blocking_session_h', 'lock_monitoring.deadlock_event_h',
             'lock_monitoring.lock_wait_analysis_h', 'lock_monitoring.lock_blocking_l', 'lock_monitoring.deadlock_involvement_l',
             'lock_monitoring.lock_activity_s', 'lock_monitoring.blocking_session_s', 'lock_monitoring.deadlock_event_s',
             'lock_monitoring.lock_wait_analysis_s']::regclass[])
       AND k.contype = 'f'
       AND k.confrelid <> ALL (ARRAY[
             'lock_monitoring.lock_activity_h', 'lock_monitoring.blocking_session_h', 'lock_monitoring.deadlock_event_h',
             'lock_monitoring.lock_wait_analysis_h']::regclass[]));
END
$$;
COMMENT ON FUNCTION lock_engine.key_tables() IS
  'The tables of the site''s that the vault''s foreign keys ask: auth.tenant_h, unless somebody renamed it.';
