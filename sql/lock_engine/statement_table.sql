CREATE OR REPLACE FUNCTION lock_engine.statement_table(p_query text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c_name constant text := '(?:"(?:[^"]|"")+"|(?:[a-z_]|[^\x01-\x7f])(?:[\w$]|[^\x01-\x7f])*)';
  v_name text := substring(lock_engine.hide_literals(left(p_query, 2000))
    FROM '(?i)(?:^|[^a-z])(?:update|delete\s+from|insert\s+into|merge\s+into|lock(?:\s+table)?|alter\s+table|truncate(?:\s+table)?|from)\s+(?:if\s+exists\s+)?(?:only\s+)?('
         || c_name || '(?:\s*\.\s*' || c_name || ')?)');
BEGIN
  -- as PostgreSQL folds names: to lower case, but not within quotes
  RETURN (SELECT string_agg(CASE WHEN m.part[1] LIKE '"%' THEN replace(substr(m.part[1], 2, length(m.part[1]) - 2), '""', '"')
                                 ELSE lower(m.part[1]) END, '.' ORDER BY m.n)
            FROM regexp_matches(v_name, c_name, 'gi') WITH ORDINALITY m(part, n));
END
$$;
COMMENT ON FUNCTION lock_engine.statement_table(text) IS
  'The table a statement names first, as PostgreSQL folds its name, without quotes; a guess. NULL where none is seen.';
