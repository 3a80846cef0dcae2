-- Looked up each time: a site's keys may have other names than ours, and one that somebody dropped must not stop a cycle.
CREATE OR REPLACE FUNCTION lock_engine.key_names(p_tenants boolean)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
  RETURN (SELECT string_agg(DISTINCT format('lock_monitoring.%I', k.conname), ', ')
    FROM pg_constraint k
   WHERE k.conrelid = ANY (ARRAY[
           'lock_monitoring.lock_activity_h', 'lock_monitoring.blocking_session_h', 'lock_monitoring.deadlock_event_h',
           'lock_monitoring.lock_blocking_l', 'lock_monitoring.deadlock_involvement_l', 'lock_monitoring.lock_activity_s',
           'lock_monitoring.blocking_session_s', 'lock_monitoring.deadlock_event_s',
           'lock_monitoring.lock_wait_analysis_s']::regclass[])
     AND k.contype = 'f' AND k.condeferrable
     AND p_tenants = (k.confrelid <> ALL (ARRAY[
           'lock_monitoring.lock_activity_h', 'lock_monitoring.blocking_session_h', 'lock_monitoring.deadlock_event_h',
           'lock_monitoring.lock_wait_analysis_h']::regclass[])));
END
$$;
COMMENT ON FUNCTION lock_engine.key_names(boolean) IS
  'The vault''s deferrable foreign keys, for SET CONSTRAINTS: those to the tenants, or those to the hubs. NULL: there are none.';
