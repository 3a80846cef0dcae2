CREATE OR REPLACE FUNCTION lock_engine.record_heartbeat(
  p_leader_host text,
  p_leader_process integer,
  p_watching_since timestamptz,
  p_last_look_at timestamptz,
  p_last_cycle_at timestamptz,
  p_look_ms numeric,
  p_cycle_ms numeric,
  p_look_by text,
  p_skipping_since timestamptz DEFAULT NULL,
  p_skipped_because text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  PERFORM lock_engine.require_watcher();
  INSERT INTO lock_engine.heartbeat AS h (
    heartbeat_id, leader_pid, leader_host, leader_process, watching_since, beat_at, last_look_at, last_cycle_at,
    look_ms, cycle_ms, look_by, skipping_since, skipped_because)
  VALUES (1, pg_backend_pid(), p_leader_host, p_leader_process, p_watching_since, clock_timestamp(), p_last_look_at,
          p_last_cycle_at, p_look_ms, p_cycle_ms, p_look_by, p_skipping_since, p_skipped_because)
  ON CONFLICT (heartbeat_id) DO UPDATE SET
    leader_pid = EXCLUDED.leader_pid, leader_host = EXCLUDED.leader_host, leader_process = EXCLUDED.leader_process,
    watching_since = EXCLUDED.watching_since, beat_at = EXCLUDED.beat_at, last_look_at = EXCLUDED.last_look_at,
    last_cycle_at = coalesce(EXCLUDED.last_cycle_at, h.last_cycle_at), look_ms = EXCLUDED.look_ms,
    cycle_ms = coalesce(EXCLUDED.cycle_ms, h.cycle_ms), look_by = EXCLUDED.look_by,
    skipping_since = EXCLUDED.skipping_since, skipped_because = EXCLUDED.skipped_because;
END
$function$;
COMMENT ON FUNCTION lock_engine.record_heartbeat(text, integer, timestamptz, timestamptz, timestamptz, numeric, numeric,
  text, timestamptz, text) IS 'The loop''s sign of life: replaces the one row of lock_engine.heartbeat.';
ALTER FUNCTION lock_engine.record_heartbeat(text, integer, timestamptz, timestamptz, timestamptz, numeric, numeric, text,
  timestamptz, text) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.record_heartbeat(text, integer, timestamptz, timestamptz, timestamptz, numeric,
  numeric, text, timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.record_heartbeat(text, integer, timestamptz, timestamptz, timestamptz, numeric,
  numeric, text, timestamptz, text) TO lock_monitoring_role;
