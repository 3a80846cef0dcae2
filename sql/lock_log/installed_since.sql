-- Records older than the monitor in this database are not its own. A copy made by CREATE DATABASE .. TEMPLATE counts from
-- its own making. Runs as lock_log_reader, for the time of the database's folder.
CREATE OR REPLACE FUNCTION lock_log.installed_since()
RETURNS timestamptz
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- files' times are whole seconds, cut off
  v_made timestamptz := (
    SELECT f.modification + interval '1 second' FROM pg_database d
     CROSS JOIN LATERAL pg_stat_file('base/' || d.oid || '/PG_VERSION', true) f WHERE d.datname = current_database());
  v_installed timestamptz := (SELECT min(i.installed_at) FROM lock_engine.installation i);
BEGIN
  IF current_user <> 'lock_log_reader' THEN PERFORM lock_engine.require_owner('lock_log_reader'); END IF;
  RETURN CASE WHEN v_installed > v_made - interval '1 second' THEN v_installed ELSE coalesce(v_made, v_installed) END;
END
$$;
COMMENT ON FUNCTION lock_log.installed_since() IS 'Since when the monitor is in this database.';
ALTER FUNCTION lock_log.installed_since() OWNER TO lock_log_reader;
REVOKE ALL ON FUNCTION lock_log.installed_since() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_log.installed_since() TO lock_vault_owner;
GRANT SELECT (installed_at) ON lock_engine.installation TO lock_log_reader;
