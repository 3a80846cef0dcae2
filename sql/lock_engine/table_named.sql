-- One table is one table however it is named. From the catalog alone: the table itself is neither read nor locked.
CREATE OR REPLACE FUNCTION lock_engine.table_named(p_name text)
RETURNS text
LANGUAGE plpgsql
STABLE
STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_oids oid[] := ARRAY(
    SELECT k.oid FROM pg_class k JOIN pg_namespace n ON n.oid = k.relnamespace
     -- the first condition finds them by the index
     WHERE k.relname = ANY (ARRAY[p_name, substr(p_name, strpos(p_name, '.') + 1), regexp_replace(p_name, '^.*\.', '')]::name[])
       AND k.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_(toast|temp)'
       AND (k.relname = p_name AND n.nspname NOT IN ('pg_catalog', 'information_schema')
            OR strpos(p_name, '.') > 0 AND n.nspname || '.' || k.relname = p_name));
BEGIN
  -- a view over one table is that table
  FOR i IN 1 .. 8 LOOP
    EXIT WHEN cardinality(v_oids) <> 1 OR NOT EXISTS (SELECT FROM pg_class k WHERE k.oid = v_oids[1] AND k.relkind = 'v');
    v_oids := ARRAY(
      SELECT DISTINCT d.refobjid FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
        JOIN pg_class k ON k.oid = d.refobjid AND k.relkind IN ('r', 'p', 'v', 'm', 'f')
       WHERE w.ev_class = v_oids[1] AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> w.ev_class);
  END LOOP;
  IF cardinality(v_oids) <> 1 THEN
    RETURN NULL;
  END IF;
  RETURN (SELECT lock_catalog.readable(n.nspname::text || '.' || k.relname) FROM pg_class k JOIN pg_namespace n ON n.oid = k.relnamespace
           WHERE k.oid = coalesce(pg_partition_root(v_oids[1]), v_oids[1]) AND k.relkind <> 'v');
END
$$;
COMMENT ON FUNCTION lock_engine.table_named(text) IS
  'The table of the current database that a name, with or without its schema, means: of a view the one table below it, of a partition the partitioned '
  'table. NULL where no table, or more than one, is meant.';
