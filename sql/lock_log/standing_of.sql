-- Is a record PostgreSQL's own word? csvlog and jsonlog have its code and, whatever log_error_verbosity is, its context.
CREATE OR REPLACE FUNCTION lock_log.standing_of(p_format text, p_sqlstate text, p_context text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE WHEN p_format IN ('csvlog', 'jsonlog') AND p_sqlstate IS NOT NULL AND NOT lock_log.written_by_users(p_context)
              THEN 'proven' ELSE 'claimed' END;
END
$$;
COMMENT ON FUNCTION lock_log.standing_of(text, text, text) IS
  'proven: nobody but PostgreSQL can have written this record of a log; claimed: whoever may run statements could have.';
