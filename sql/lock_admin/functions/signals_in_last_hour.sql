-- Signals under way in transactions of others are not visible yet: actions carried out at the very same moment may
-- exceed a limit by their number. Waiting for one another instead would let one forgotten transaction close the door.
CREATE OR REPLACE FUNCTION lock_admin.signals_in_last_hour(p_policy_hk bytea DEFAULT NULL)
RETURNS integer
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT count(*)::integer
    FROM lock_admin.action_log AS a
   WHERE a.step = 'signal' AND a.logged_at > clock_timestamp() - interval '1 hour'
     AND (p_policy_hk IS NULL OR a.policy_hk = p_policy_hk)
$$;
COMMENT ON FUNCTION lock_admin.signals_in_last_hour(bytea) IS 'Signals of the door in the last 60 minutes, of one policy or of all.';
