-- For a clone that cannot be told from its original: the copy of the files has its system identifier and oid.
CREATE OR REPLACE FUNCTION lock_admin.disarm(p_reason text, p_by text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
AS $$
BEGIN
  IF current_user <> 'lock_door_owner' THEN PERFORM lock_engine.require_owner('lock_door_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_admin.disarm', false);
  IF coalesce(btrim(p_reason), '') = '' THEN
    RAISE EXCEPTION 'A reason is needed: why shall nothing act by itself here? Nothing was changed.'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  INSERT INTO lock_engine.home (database_name, recorded_by, reason)
  VALUES (lock_catalog.readable(current_database()::text), lock_catalog.readable(session_user::text) || coalesce(' for ' || nullif(left(btrim(p_by), 200), ''), ''), left(btrim(p_reason), 2000));
  RAISE LOG 'one vault lock monitor: % (login %) disarms database %', regexp_replace(coalesce(p_by, '-'), '[[:cntrl:]]', ' ', 'g'),
    session_user, current_database();
  RETURN lock_engine.disarmed_because();
END
$$;
COMMENT ON FUNCTION lock_admin.disarm(text, text) IS
  'Stops everything that acts by itself, policies and alerts, until lock_admin.adopt(): the first line to type in a clone of the files.';
