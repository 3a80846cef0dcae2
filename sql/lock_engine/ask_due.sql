CREATE OR REPLACE FUNCTION lock_engine.ask_due()
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN EXISTS (SELECT FROM lock_engine.tenant_wanted w WHERE w.try_at <= clock_timestamp()) OR lock_engine.names_due();
END
$$;
COMMENT ON FUNCTION lock_engine.ask_due() IS
  'Whether lock_engine.ask_site() has something to look up: a claim that is wanted, or the names of all tenants, read every 10 minutes.';
