-- The monitor's own backends: this one, and those logged in as one of the logins in setting monitor.own_logins.
-- By login, not by application name, because anybody can call himself anything.
CREATE OR REPLACE FUNCTION lock_catalog.own_pids()
RETURNS integer[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
  v_logins jsonb := '[]';
BEGIN
  BEGIN
    v_logins := lock_admin.setting('monitor.own_logins');
  EXCEPTION
    -- somebody has locked the settings: the live picture goes on, and may show the monitor itself
    WHEN lock_not_available THEN NULL;
  END;
  IF v_logins = '[]'::jsonb THEN
    RETURN ARRAY[pg_backend_pid()];
  END IF;
  RETURN lock_catalog.pids_of(ARRAY(SELECT l.login FROM jsonb_array_elements_text(v_logins) l (login)));
END
$$;
COMMENT ON FUNCTION lock_catalog.own_pids() IS
  'Pids that the monitor never records as waiting or holding: its own backends, by login (setting monitor.own_logins).';
