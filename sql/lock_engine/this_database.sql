-- NULL for the system identifier: this role may not ask for it (PUBLIC may, unless the site has revoked that).
CREATE OR REPLACE FUNCTION lock_engine.this_database(OUT system_identifier bigint, OUT database_oid oid)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT d.oid INTO database_oid FROM pg_database AS d WHERE d.datname = current_database();
  IF has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') THEN
    SELECT c.system_identifier INTO system_identifier FROM pg_control_system() AS c;
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.this_database() IS
  'The pair by which a database is known: the server''s system identifier and the database''s oid. A promoted standby keeps both.';
