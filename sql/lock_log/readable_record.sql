-- A log holds records of every database, each in that database's encoding: what is valid UTF-8 is taken for it, the rest for
-- text of this database's encoding.
CREATE OR REPLACE FUNCTION lock_log.readable_record(p_record text, p_format text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_bytes bytea := decode(p_record, 'escape');
BEGIN
  RETURN lock_catalog.readable_bytes(v_bytes,
    CASE WHEN getdatabaseencoding() <> 'UTF8' AND lock_log.is_utf8(v_bytes) THEN 'UTF8' ELSE getdatabaseencoding() END, p_format = 'jsonlog');
END
$$;
COMMENT ON FUNCTION lock_log.readable_record(text, text) IS
  'A record of the log, given as bytea''s escapes, as text that is valid here: see lock_catalog.readable_bytes().';
