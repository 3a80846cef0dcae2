-- Does something for one record apart from all others: where it fails, what it did is taken back and the error is told, so
-- that the others go on. What ends the whole run (lock_engine.ends_all) goes on to end it.
CREATE OR REPLACE FUNCTION lock_engine.try_apart(
  p_statement text, p_record jsonb, OUT result jsonb, OUT error_state text, OUT error_message text)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_detail text;
  v_schema text;
  v_table text;
  v_constraint text;
BEGIN
  EXECUTE p_statement INTO result USING p_record;
EXCEPTION
  WHEN OTHERS THEN
    IF lock_engine.ends_all(SQLSTATE) THEN
      RAISE;
    END IF;
    result := NULL;
    error_state := SQLSTATE;
    GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_schema = SCHEMA_NAME, v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME;
    error_message := lock_engine.failure_in_words(SQLSTATE, SQLERRM, v_detail, v_schema, v_table, v_constraint);
END
$$;
COMMENT ON FUNCTION lock_engine.try_apart(text, jsonb) IS
  'Runs a statement of ours (never a text from outside) with a record as $1: what it returns, or the error, of which nothing stays.';
REVOKE ALL ON FUNCTION lock_engine.try_apart(text, jsonb) FROM PUBLIC;
