-- By position, as lock_log.wait_words(); 18's log_lock_failures has a comma between the two.
CREATE OR REPLACE FUNCTION lock_log.wait_detail(p_detail text)
RETURNS jsonb
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_holders text := split_part(split_part(p_detail, '. Wait queue: ', 1), 'holding the lock: ', 2);
  v_queue text := split_part(split_part(p_detail, '. Wait queue: ', 2), '.', 1);
  v_lists text[];
BEGIN
  IF p_detail LIKE 'Process%' AND p_detail LIKE '%. Wait queue: %' AND v_holders ~ '^[0-9, ]*$' AND v_queue ~ '^[0-9, ]*$' THEN
    RETURN jsonb_build_object('holders', to_jsonb(string_to_array(replace(v_holders, ' ', ''), ',')),
                              'queue', to_jsonb(string_to_array(replace(v_queue, ' ', ''), ',')));
  END IF;
  -- of any language: two lists of numbers, each behind a colon
  v_lists := regexp_match(p_detail, '^[^0-9]{1,80}: ?([0-9, ]*?)[,.;]? [^0-9:]{1,60}: ?([0-9, ]*)\.?$');
  IF v_lists IS NOT NULL THEN
    RETURN jsonb_build_object('holders', to_jsonb(string_to_array(replace(v_lists[1], ' ', ''), ',')),
                              'queue', to_jsonb(string_to_array(replace(v_lists[2], ' ', ''), ',')));
  END IF;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION lock_log.wait_detail(text) IS 'Holders and queue of a log_lock_waits DETAIL; NULL if it has none.';
