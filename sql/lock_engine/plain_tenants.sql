-- A foreign key reads the tenants' table, too: PostgreSQL plans that query in this session, with the rights of the table's owner.
CREATE OR REPLACE FUNCTION lock_engine.plain_tenants()
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_tenants oid := lock_engine.site_table('auth.tenant_h');
  v_table oid;
  v_fault text;
BEGIN
  FOREACH v_table IN ARRAY lock_engine.key_tables() LOOP
    v_fault := CASE WHEN v_table = v_tenants THEN lock_engine.site_fault('auth.tenant_h', ARRAY['tenant_hk'])
                    ELSE lock_engine.site_fault(format('%s, which the vault''s foreign keys ask,', v_table::regclass), '{}', v_table) END;
    IF v_fault IS NOT NULL THEN
      RAISE EXCEPTION '%', v_fault USING ERRCODE = 'insufficient_privilege';
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_engine.plain_tenants() IS
  'Raises lock_engine.site_fault() of auth.tenant_h, or whatever the vault''s foreign keys ask (42501), where they would run code of others.';
