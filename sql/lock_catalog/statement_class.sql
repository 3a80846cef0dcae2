-- What a statement is to those who wait for its locks, by its own first words.
CREATE OR REPLACE FUNCTION lock_catalog.statement_class(p_query text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_verb constant text[] := lock_catalog.leading_words(p_query, 1);
  -- where the first word does not tell, more of them: without IF NOT EXISTS, ONLY and the like, what is asked for
  w constant text[] := CASE WHEN v_verb[1] IN ('create', 'drop', 'reindex', 'alter', 'vacuum', 'prepare')
                            THEN lock_catalog.leading_words(p_query, 24) ELSE v_verb END;
  v_concurrently constant boolean := 'concurrently' = ANY (w);
BEGIN
  RETURN CASE
    WHEN w[1] IN ('create', 'drop', 'reindex') AND v_concurrently AND (w[1] = 'reindex' OR 'index' = ANY (w[2:3])) THEN 'concurrent_ddl'
    WHEN w[1] = 'alter' AND v_concurrently AND 'detach' = ANY (w) THEN 'concurrent_ddl'
    WHEN w[1] = 'vacuum' AND 'full' <> ALL (w[2:]) OR w[1] IN ('analyze', 'analyse') THEN 'maintenance'
    WHEN w[1] IN ('alter', 'create', 'drop', 'truncate', 'reindex', 'cluster', 'vacuum', 'lock', 'refresh', 'comment', 'grant', 'revoke', 'reassign',
                  'import', 'security') THEN 'definition'
    WHEN w[1] IN ('commit', 'end', 'rollback', 'abort') OR w[1] = 'prepare' AND w[2] = 'transaction' THEN 'end'
    WHEN w[1] IN ('select', 'insert', 'update', 'delete', 'merge', 'values', 'table', 'copy', 'fetch', 'move') THEN 'data'
    WHEN w[1] IN ('call', 'do', 'execute', 'explain', 'declare') THEN 'code'
  END;
END
$$;
COMMENT ON FUNCTION lock_catalog.statement_class(text) IS
  'definition (DDL and what locks a table as a whole), concurrent_ddl (CREATE, DROP or REINDEX INDEX CONCURRENTLY, DETACH PARTITION CONCURRENTLY), maintenance (VACUUM without '
  'FULL, ANALYZE), end (of a transaction), data, code (it does what the text does not show); NULL: the text does not tell.';
