-- By position, as lock_log.wait_words().
CREATE OR REPLACE FUNCTION lock_log.wait_detail(p_detail text)
RETURNS jsonb
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_holders text := split_part(split_part(p_detail, '. Wait queue: ', 1), 'holding the lock: ', 2);
  v_queue text := split_part(split_part(p_detail, '. Wait queue: ', 2), '.', 1);
BEGIN
  IF p_detail LIKE 'Process%' AND p_detail LIKE '%. Wait queue: %' AND v_holders ~ '^[0-9, ]*$' AND v_queue ~ '^[0-9, ]*$' THEN
    RETURN jsonb_build_object('holders', to_jsonb(string_to_array(replace(v_holders, ' ', ''), ',')),
                              'queue', to_jsonb(string_to_array(replace(v_queue, ' ', ''), ',')));
  END IF;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION lock_log.wait_detail(text) IS 'Holders and queue of a log_lock_waits DETAIL; NULL if it has none.';
