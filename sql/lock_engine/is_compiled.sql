-- Anybody who makes a range type gets functions in the language internal with it, which call the type's canonical function:
-- that one may be plain plpgsql.
CREATE OR REPLACE FUNCTION lock_engine.is_compiled(p_function oid)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce((SELECT l.lanname IN ('internal', 'c') FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.oid = p_function), false)
     AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_proc'::regclass AND d.objid = p_function AND d.refclassid = 'pg_type'::regclass AND d.deptype = 'i')
$$;
COMMENT ON FUNCTION lock_engine.is_compiled(oid) IS
  'Whether this function is PostgreSQL''s own or compiled code, which only a superuser can bring into a '
  'database; not what came with a range type.';
