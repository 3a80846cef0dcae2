CREATE OR REPLACE FUNCTION lock_engine.query_fingerprint(p_query text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
STRICT
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN md5(regexp_replace(regexp_replace(lower(lock_engine.hide_literals(p_query)),
             '\(\s*(?:\$?\?|\$\d+)(?:\s*,\s*(?:\$?\?|\$\d+))*\s*\)', '(?)', 'g'), '\s+', ' ', 'g'));
END
$$;
COMMENT ON FUNCTION lock_engine.query_fingerprint(text) IS
  'Groups like statements: 32 hex digits over the text without constants, comments, case, white space and list lengths. '
  'Used because PostgreSQL''s own query_id is NULL unless compute_query_id is on.';
