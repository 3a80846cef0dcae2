-- From the catalog alone: the tables themselves are neither read nor locked.
CREATE OR REPLACE FUNCTION lock_engine.table_facts(p_table text, p_other text,
  OUT known boolean, OUT referenced_by text, OUT refers boolean, OUT refers_to_other boolean, OUT cascades boolean, OUT unique_keys integer, OUT exclusions integer,
  OUT acts boolean, OUT trigger_to_other text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_table oid := (SELECT k.oid FROM pg_class k JOIN pg_namespace n ON n.oid = k.relnamespace
                   WHERE k.relname = ANY (ARRAY[substr(p_table, strpos(p_table, '.') + 1), regexp_replace(p_table, '^.*\.', '')]::name[])
                     AND n.nspname || '.' || k.relname = p_table AND k.relkind IN ('r', 'p', 'm', 'f'));
  v_other oid := (SELECT k.oid FROM pg_class k JOIN pg_namespace n ON n.oid = k.relnamespace
                   WHERE k.relname = ANY (ARRAY[substr(p_other, strpos(p_other, '.') + 1), regexp_replace(p_other, '^.*\.', '')]::name[])
                     AND n.nspname || '.' || k.relname = p_other AND k.relkind IN ('r', 'p', 'm', 'f'));
  v_name text := (SELECT regexp_replace(k.relname, '(\W)', '\\\1', 'g') FROM pg_class k WHERE k.oid = v_other);
BEGIN
  known := v_table IS NOT NULL;
  SELECT (array_agg(format('%s of %s', lock_catalog.readable(c.conname::text), lock_catalog.readable(n.nspname::text || '.' || r.relname)) ORDER BY c.conname))[1]
    INTO referenced_by
    FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace
   WHERE c.contype = 'f' AND c.confrelid = v_table AND c.conparentid = 0;
  SELECT count(*) FILTER (WHERE c.conrelid = v_table) > 0, count(*) FILTER (WHERE c.conrelid = v_table AND c.confrelid = v_other) > 0,
         count(*) FILTER (WHERE c.confrelid = v_table AND (c.confdeltype <> 'a' OR c.confupdtype <> 'a')) > 0
    INTO refers, refers_to_other, cascades
    FROM pg_constraint c WHERE c.contype = 'f' AND v_table IN (c.conrelid, c.confrelid);
  SELECT count(*) FILTER (WHERE i.indisunique)::integer, count(*) FILTER (WHERE i.indisexclusion)::integer INTO unique_keys, exclusions
    FROM pg_index i WHERE i.indrelid = v_table AND i.indisvalid;
  SELECT count(*) FILTER (WHERE p.prosrc ~* '\m(insert|update|delete|merge|perform|select|execute|call)\M' OR p.prosrc = '') > 0,
         min(lock_catalog.readable(t.tgname::text)) FILTER (WHERE p.prosrc ~* ('\m' || v_name || '\M'))
    INTO acts, trigger_to_other
    FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
   WHERE t.tgrelid = v_table AND NOT t.tgisinternal AND t.tgenabled <> 'D';
END
$$;
COMMENT ON FUNCTION lock_engine.table_facts(text, text) IS
  'Of a table (schema.table) of the current database: is it known; a foreign key that references it; does it have foreign keys, one to the other table, and '
  'such as act on referencing rows; how many unique indexes and exclusion constraints; does a trigger of it run statements, and the trigger whose function names the other table.';
