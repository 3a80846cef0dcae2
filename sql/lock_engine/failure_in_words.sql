-- What a part says of its failure: PostgreSQL's words, but for the one that a site meets each midnight after it has partitioned
-- a satellite. That one is known by its fields, as its words come in the server's language.
CREATE OR REPLACE FUNCTION lock_engine.failure_in_words(
  p_sqlstate text, p_message text, p_detail text, p_schema text, p_table text, p_constraint text)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce((
    SELECT format('%s.%s has no partition for %s: create one%s, or a DEFAULT partition. PostgreSQL: %s%s', p_schema, p_table,
                  CASE WHEN d.day IS NULL THEN format('this row''s key, %s', pg_get_partkeydef(t.partrelid))
                       ELSE format('%s (%s)', d.day, a.attname) END,
                  CASE WHEN d.day IS NULL THEN '' ELSE ' for that day' END, p_message, ' (' || nullif(p_detail, '') || ')')
      FROM pg_partitioned_table t
      LEFT JOIN pg_attribute a ON a.attrelid = t.partrelid AND a.attnum = t.partattrs[0] AND t.partnatts = 1 AND t.partstrat = 'r'
       AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
     CROSS JOIN LATERAL (
           SELECT CASE WHEN a.attname IS NOT NULL THEN substring(p_detail FROM '= [(]([0-9]{4,}-[0-9]{2}-[0-9]{2})') END AS day) d
     WHERE t.partrelid = to_regclass(format('%I.%I', p_schema, p_table))
       AND p_sqlstate = '23514' AND coalesce(p_constraint, '') = ''), p_message)
$$;
COMMENT ON FUNCTION lock_engine.failure_in_words(text, text, text, text, text, text) IS
  'SQLERRM in words that say what to do, from the fields of GET STACKED DIAGNOSTICS: a table without a partition for a row. Else SQLERRM.';
ALTER FUNCTION lock_engine.failure_in_words(text, text, text, text, text, text) OWNER TO lock_vault_owner;
