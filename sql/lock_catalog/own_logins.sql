-- By login, not by application name, because anybody can call himself anything.
CREATE OR REPLACE FUNCTION lock_catalog.own_logins()
RETURNS text[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
BEGIN
  RETURN ARRAY(SELECT l.login FROM jsonb_array_elements_text(lock_admin.setting('monitor.own_logins')) l (login));
EXCEPTION
  -- somebody has locked the settings: the live picture goes on, and may show the monitor itself
  WHEN lock_not_available THEN RETURN '{}';
END
$$;
COMMENT ON FUNCTION lock_catalog.own_logins() IS
  'The logins of the monitor (setting monitor.own_logins); empty while that cannot be read.';
