-- A foreign key reads the tenants' table, too: PostgreSQL plans that query in this session, with the rights of the table's owner.
CREATE OR REPLACE FUNCTION lock_engine.plain_tenants()
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_fault text := lock_engine.site_fault('auth.tenant_h', ARRAY['tenant_hk']);
BEGIN
  IF v_fault IS NOT NULL THEN
    RAISE EXCEPTION '%', v_fault USING ERRCODE = 'insufficient_privilege';
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.plain_tenants() IS
  'Raises lock_engine.site_fault() of auth.tenant_h (42501) where a foreign key to it would run code of others.';
