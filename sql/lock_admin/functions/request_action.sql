CREATE OR REPLACE FUNCTION lock_admin.request_action(
  p_action text, p_pid integer, p_backend_start timestamptz, p_reason text, p_xact_start timestamptz DEFAULT NULL,
  p_explicit boolean DEFAULT false, p_acting_for text DEFAULT NULL, p_origin text DEFAULT 'sql')
RETURNS TABLE (action_id bigint, accepted boolean, code text, message text, facts jsonb)
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
  SELECT lock_engine.require_owner('lock_door_owner');
  SELECT f.action_id, f.accepted, f.code, f.message, f.facts
    FROM lock_admin.file_request(p_action, p_pid, p_backend_start, p_xact_start, p_reason, p_explicit, p_acting_for,
           CASE WHEN p_origin IN ('admin', 'command', 'auto_resolve') THEN p_origin ELSE 'sql' END, NULL, NULL) AS f
$$;
COMMENT ON FUNCTION lock_admin.request_action(text, integer, timestamptz, text, timestamptz, boolean, text, text) IS
  'Asks the door to cancel or terminate the session (pid and backend_start). Commit, then lock_admin.execute_action(action_id). '
  'With p_xact_start only while it is in that transaction; with p_explicit also if it blocks nobody. Refusals are returned.';
