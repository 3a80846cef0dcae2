CREATE OR REPLACE FUNCTION lock_engine.statement_table(p_query text)
RETURNS text
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT btrim(substring(lower(lock_engine.hide_literals(left(p_query, 2000)))
    FROM '(?:^|[^a-z])(?:update|delete\s+from|insert\s+into|lock\s+(?:table\s+)?|alter\s+table|truncate\s+(?:table\s+)?|from)\s+(?:only\s+)?([a-z_"][\w$."]*)'), '"')
$$;
COMMENT ON FUNCTION lock_engine.statement_table(text) IS
  'The table a statement names first, as it is written; a guess used for words only. NULL where none is seen.';
