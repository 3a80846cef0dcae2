CREATE OR REPLACE FUNCTION lock_log.label_part(p_label text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_part text := CASE WHEN p_label = ANY (lock_log.words('severity')) THEN 'message' WHEN p_label = ANY (lock_log.words('detail')) THEN 'detail'
    WHEN p_label = ANY (lock_log.words('statement')) THEN 'statement' WHEN p_label = ANY (lock_log.words('context')) THEN 'context'
    WHEN p_label = ANY (lock_log.words('aside')) THEN 'aside' END;
BEGIN
  IF v_part IS NULL AND strpos(p_label, '\') > 0 THEN
    v_part := CASE WHEN p_label = ANY (lock_log.words('severity, not UTF-8')) THEN 'message' WHEN p_label = ANY (lock_log.words('detail, not UTF-8')) THEN 'detail'
      WHEN p_label = ANY (lock_log.words('statement, not UTF-8')) THEN 'statement' WHEN p_label = ANY (lock_log.words('context, not UTF-8')) THEN 'context'
      WHEN p_label = ANY (lock_log.words('aside, not UTF-8')) THEN 'aside' END;
  END IF;
  RETURN v_part;
END
$$;
COMMENT ON FUNCTION lock_log.label_part(text) IS
  'What a line of a stderr log with this label is to its record: message (its beginning), detail, statement, context, aside (not needed); NULL: '
  'a label of no language that is known.';
