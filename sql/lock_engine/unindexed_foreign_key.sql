CREATE OR REPLACE FUNCTION lock_engine.unindexed_foreign_key(p_tables text[])
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT format('%s (%s) references %s', c.conrelid::regclass,
                (SELECT string_agg(a.attname, ', ' ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY k(attnum, n)
                   JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum), c.confrelid::regclass)
    FROM pg_constraint c
    JOIN pg_class r ON r.oid = c.conrelid JOIN pg_class f ON f.oid = c.confrelid
    JOIN pg_namespace rn ON rn.oid = r.relnamespace JOIN pg_namespace fn ON fn.oid = f.relnamespace
   WHERE c.contype = 'f'
     AND (r.relname = ANY (p_tables) OR rn.nspname || '.' || r.relname = ANY (p_tables))
     AND (f.relname = ANY (p_tables) OR fn.nspname || '.' || f.relname = ANY (p_tables))
     AND NOT EXISTS (
       SELECT FROM pg_index i
        WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL
          AND (i.indkey::smallint[])[0:cardinality(c.conkey) - 1] @> c.conkey)
   ORDER BY c.conname LIMIT 1
$$;
COMMENT ON FUNCTION lock_engine.unindexed_foreign_key(text[]) IS
  'A foreign key between two of these tables of the current database whose columns have no index; NULL if there is none.';
