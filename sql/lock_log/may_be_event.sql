CREATE OR REPLACE FUNCTION lock_log.may_be_event(p_kind text, p_context text)
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN p_kind IN ('deadlock', 'deadlock_wait') AND NOT lock_log.written_by_users(p_context);
END
$$;
COMMENT ON FUNCTION lock_log.may_be_event(text, text) IS
  'Whether a record of this kind can be, or become, an event of the vault: what a user is known to have written never does.';
