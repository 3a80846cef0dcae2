CREATE OR REPLACE FUNCTION lock_engine.referencing_key(p_table text)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT format('%s of %s', c.conname, lock_catalog.readable(rn.nspname || '.' || r.relname))
    FROM pg_constraint c
    JOIN pg_class f ON f.oid = c.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
    JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
   WHERE c.contype = 'f' AND p_table IN (f.relname, fn.nspname || '.' || f.relname)
   ORDER BY c.conname LIMIT 1
$$;
COMMENT ON FUNCTION lock_engine.referencing_key(text) IS
  'A foreign key of the current database that references this table, whose checks lock rows of it FOR KEY SHARE; NULL if there is none.';
