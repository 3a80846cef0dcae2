-- What a copy holds to be sent is the original's to send, or was sent long ago: it is given up here.
CREATE OR REPLACE FUNCTION lock_admin.adopt(p_reason text, p_by text DEFAULT NULL)
RETURNS TABLE (adopted boolean, message text)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
AS $$
#variable_conflict use_column
DECLARE
  v_here record;
  v_why text;
  v_armed integer;
  v_messages integer;
BEGIN
  IF current_user <> 'lock_door_owner' THEN PERFORM lock_engine.require_owner('lock_door_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_admin.adopt', false);
  IF coalesce(btrim(p_reason), '') = '' THEN
    RAISE EXCEPTION 'A reason is needed: why is this database the place of this vault now? Nothing was changed.'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  v_why := lock_engine.disarmed_because();
  IF v_why IS NULL THEN
    RETURN QUERY SELECT false, 'This is the place of this vault already. Nothing was changed.';
    RETURN;
  END IF;
  v_here := lock_engine.this_database();
  IF v_here.system_identifier IS NULL THEN
    RAISE EXCEPTION '% Nothing was changed.', v_why USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  INSERT INTO lock_engine.home (system_identifier, database_oid, database_name, recorded_by, reason)
  VALUES (v_here.system_identifier, v_here.database_oid, lock_catalog.readable(current_database()::text),
          lock_catalog.readable(session_user::text) || coalesce(' for ' || nullif(left(btrim(p_by), 200), ''), ''), left(btrim(p_reason), 2000));
  UPDATE monitoring.alert_message AS m SET state = 'failed' WHERE m.state IN ('waiting', 'sending', 'held');
  GET DIAGNOSTICS v_messages = ROW_COUNT;
  SELECT count(*) INTO v_armed FROM lock_admin.policy_mode_s AS m WHERE m.load_end_date IS NULL AND m.mode = 'armed';
  RAISE LOG 'one vault lock monitor: % (login %) adopts database % (oid %) of system %',
    regexp_replace(coalesce(p_by, '-'), '[[:cntrl:]]', ' ', 'g'), session_user, current_database(), v_here.database_oid,
    v_here.system_identifier;
  RETURN QUERY SELECT true, format('This vault acts in %I now: alerts are sent, and of its policies %s armed.%s',
    lock_catalog.readable(current_database()::text),
    CASE v_armed WHEN 0 THEN 'none is' WHEN 1 THEN '1 is' ELSE v_armed || ' are' END,
    CASE WHEN v_messages > 0 THEN format(' Messages that the copy held to be sent were given up: %s.', v_messages) ELSE '' END);
END
$$;
COMMENT ON FUNCTION lock_admin.adopt(text, text) IS
  'Makes this database the one that the vault acts in, after pg_upgrade or where a copy takes the original''s place; lock_engine.home keeps it.';
