-- For the installer's closing words and the check page: what keeps the site's tables from being read, with the line that mends it.
-- Asks the catalogs alone. What passes (a lock, a time limit) is no matter of a line, and stands in lock_engine.part_state.
CREATE OR REPLACE FUNCTION lock_engine.site_trouble()
RETURNS TABLE (table_name text, fault text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c_reader constant text := 'lock_site_reader';
  v_wanted record;
  v_table record;
  v_lacking text;
BEGIN
  FOR v_wanted IN
    SELECT w.name, w.columns FROM (VALUES ('auth.tenant_h', ARRAY['tenant_hk', 'tenant_bk']),
                                          ('auth.user_h', ARRAY['user_bk', 'tenant_hk'])) AS w (name, columns)
  LOOP
    table_name := v_wanted.name;
    SELECT c.oid, c.relrowsecurity, quote_ident(pg_get_userbyid(c.relowner)) AS owner, n.oid AS schema INTO v_table
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = lock_engine.site_table(v_wanted.name);
    fault := lock_engine.site_fault(v_wanted.name, v_wanted.columns);
    IF fault IS NOT NULL THEN
      remedy := CASE WHEN v_table.oid IS NULL
                     THEN format('Make a plain table %s with the columns %s, or install again, which makes one without rows.',
                                 v_wanted.name, array_to_string(v_wanted.columns, ', '))
                     ELSE format('Let its owner, %s, take that away from %s: a plain table with the columns %s (.._hk bytea, .._bk text or varchar).',
                                 v_table.owner, v_wanted.name, array_to_string(v_wanted.columns, ', ')) END;
      RETURN NEXT;
      CONTINUE;
    END IF;
    IF NOT has_schema_privilege(c_reader, v_table.schema, 'USAGE') THEN
      v_lacking := format('GRANT USAGE ON SCHEMA auth TO %s; ', c_reader);
    ELSE
      v_lacking := '';
    END IF;
    IF EXISTS (SELECT FROM unnest(v_wanted.columns) AS x (name) WHERE NOT has_column_privilege(c_reader, v_table.oid, x.name, 'SELECT')) THEN
      v_lacking := v_lacking || format('GRANT SELECT (%s) ON %s TO %s;', array_to_string(v_wanted.columns, ', '), v_wanted.name, c_reader);
    END IF;
    IF v_lacking <> '' THEN
      fault := format('%s may not read %s', c_reader, v_wanted.name);
      remedy := btrim(v_lacking);
      RETURN NEXT;
    END IF;
    IF v_table.relrowsecurity AND NOT (SELECT r.rolbypassrls OR r.rolsuper FROM pg_roles r WHERE r.rolname = c_reader) THEN
      fault := format('%s has row security, which would hide rows from %s', v_wanted.name, c_reader);
      remedy := format('ALTER ROLE %s BYPASSRLS; (a superuser; nobody can work as this role, which may read two columns of two tables) '
                       'or ALTER TABLE %s DISABLE ROW LEVEL SECURITY; (its owner, %s)', c_reader, v_wanted.name, v_table.owner);
      RETURN NEXT;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_engine.site_trouble() IS
  'Why tenants cannot be read from the site''s tables, a row for each reason, with the line that mends it and who may run it; no row '
  'where nothing is in the way for good.';
GRANT EXECUTE ON FUNCTION lock_engine.site_trouble() TO lock_monitoring_role;
