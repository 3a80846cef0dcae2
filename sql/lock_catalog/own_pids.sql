-- The monitor's own backends: this one, and those logged in as one of lock_catalog.own_logins().
CREATE OR REPLACE FUNCTION lock_catalog.own_pids()
RETURNS integer[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_logins text[] := lock_catalog.own_logins();
BEGIN
  IF v_logins = '{}' THEN
    RETURN ARRAY[pg_backend_pid()];
  END IF;
  RETURN lock_catalog.pids_of(v_logins);
END
$$;
COMMENT ON FUNCTION lock_catalog.own_pids() IS
  'Pids that the monitor never records as waiting or holding: its own backends, by login (setting monitor.own_logins).';
