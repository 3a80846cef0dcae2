-- Not by to_regclass or a cast: those ask for a right on the schema, which nobody of ours has.
CREATE OR REPLACE FUNCTION lock_engine.site_table(p_table text)
RETURNS oid
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
  -- in PL/pgSQL, whose plans are kept: each cycle asks twice
  RETURN (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = split_part(p_table, '.', 1) AND c.relname = split_part(p_table, '.', 2));
END
$$;
COMMENT ON FUNCTION lock_engine.site_table(text) IS 'The oid of a table of the site''s by its name (schema.table); NULL if there is none.';
