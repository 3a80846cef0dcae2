CREATE OR REPLACE FUNCTION lock_engine.begin_watching()
RETURNS timestamptz
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT lock_engine.require_owner('lock_vault_owner');
  SELECT lock_engine.require_watcher();
  UPDATE lock_engine.watch_state s SET looker_pid = pg_backend_pid() WHERE s.watch_state_id = 1 RETURNING s.last_look_at
$$;
COMMENT ON FUNCTION lock_engine.begin_watching() IS
  'Makes the caller''s session the one whose cycles are the loop''s looks; returns the last look before, NULL if there was none. A gap '
  'since then is stored with the first look that follows.';
ALTER FUNCTION lock_engine.begin_watching() OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.begin_watching() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.begin_watching() TO lock_monitoring_role;
