CREATE OR REPLACE FUNCTION lock_engine.has_place_aside(p_table text)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = ('lock_engine.aside_' || p_table)::regclass)
$$;
COMMENT ON FUNCTION lock_engine.has_place_aside(text) IS
  'Whether what is aside of a table of lock_monitoring is read through that table: not where a site has partitioned it.';
