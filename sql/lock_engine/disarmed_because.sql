-- Asked before anything acts by itself: by the policies, the automatic resolution, the alerts. Not asked by a cycle, which
-- watches in a copy as it does anywhere.
CREATE OR REPLACE FUNCTION lock_engine.disarmed_because()
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_home record;
  v_here record;
  v_rest constant text := 'No policy acts and no alert is sent until somebody with lock_admin_role says that this is its place now: manage.py lockmon_adopt --reason "...", or SELECT lock_admin.adopt(''reason'');';
BEGIN
  SELECT h.* INTO v_home FROM lock_engine.home AS h ORDER BY h.home_id DESC LIMIT 1;
  IF v_home.home_id IS NULL THEN
    RETURN 'This vault does not know which database it belongs to. ' || v_rest;
  END IF;
  IF v_home.system_identifier IS NULL THEN
    RETURN format('This vault was disarmed on %s by %s: %s. ', to_char(v_home.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'),
                  v_home.recorded_by, rtrim(v_home.reason, '. ')) || v_rest;
  END IF;
  v_here := lock_engine.this_database();
  IF v_here.system_identifier IS NULL THEN
    RETURN format('Role %s may not ask which server this is, so that this vault could be a copy: type GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO lock_monitoring_role, lock_vault_owner, lock_door_owner; as a superuser. ', current_user)
      || 'No policy acts and no alert is sent until then.';
  END IF;
  IF v_here.system_identifier = v_home.system_identifier AND v_here.database_oid = v_home.database_oid THEN
    RETURN NULL;
  END IF;
  RETURN format('This vault is a copy: it belongs to the database %I (oid %s) of the server with system identifier %s, and this is %I (oid %s) of %s. ',
                v_home.database_name, v_home.database_oid, v_home.system_identifier,
                lock_catalog.readable(current_database()::text), v_here.database_oid,
                CASE WHEN v_here.system_identifier = v_home.system_identifier THEN 'the same server'
                     ELSE 'the server with ' || v_here.system_identifier END)
    || v_rest || ' After pg_upgrade that is the thing to do.';
END
$$;
COMMENT ON FUNCTION lock_engine.disarmed_because() IS
  'Why nothing acts by itself here, in sentences with the line to type; NULL where this is the database that the vault belongs to.';
