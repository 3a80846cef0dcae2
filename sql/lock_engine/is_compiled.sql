CREATE OR REPLACE FUNCTION lock_engine.is_compiled(p_function oid)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce((SELECT l.lanname IN ('internal', 'c') FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.oid = p_function), false)
$$;
COMMENT ON FUNCTION lock_engine.is_compiled(oid) IS
  'Whether this function is PostgreSQL''s own or compiled code, which only a superuser can bring into a database.';
