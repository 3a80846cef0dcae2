CREATE OR REPLACE FUNCTION lock_log.as_written(p_text text, p_encoding name, p_json boolean DEFAULT false)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE WHEN p_encoding IS NULL OR p_text IS NULL THEN p_text
    ELSE lock_catalog.readable_bytes(convert_to(p_text, p_encoding), 'UTF8', p_json) END;
END
$$;
COMMENT ON FUNCTION lock_log.as_written(text, name, boolean) IS
  'A text out of a record that was understood in this encoding, as it is kept: \xNN for each byte that is no character of UTF-8. p_json: it '
  'is JSON and stays it. NULL as encoding: the text as it is.';
