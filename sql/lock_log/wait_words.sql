-- A line of log_lock_waits carries no code of its own, so its words decide. Cut by position where it is in English: a regular
-- expression with groups takes ten times as long, and a convoy writes hundreds of these lines a second.
CREATE OR REPLACE FUNCTION lock_log.wait_words(p_message text)
RETURNS text[]
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_pid text;
  v_rest text;
  v_happened text;
  v_mode text;
  v_object text;
  v_end text := reverse(right(p_message, 40));
  v_waited text := reverse(split_part(v_end, ' ', 2));
BEGIN
  IF p_message NOT LIKE 'process %' OR split_part(v_end, ' ', 1) <> 'sm' OR split_part(v_end, ' ', 3) <> 'retfa'
     OR v_waited !~ '^\d+\.\d+$' THEN
    RETURN CASE WHEN lock_log.says(p_message, 'modes') THEN lock_log.wait_in_words(p_message) END;
  END IF;
  v_pid := split_part(p_message, ' ', 2);
  v_rest := substr(p_message, 10 + length(v_pid));
  v_happened := CASE
    WHEN v_rest LIKE 'still waiting for %' THEN 'still waiting for' WHEN v_rest LIKE 'acquired %' THEN 'acquired'
    WHEN v_rest LIKE 'detected deadlock while waiting for %' THEN 'detected deadlock while waiting for'
    WHEN v_rest LIKE 'avoided deadlock for %' THEN 'avoided deadlock for'
    WHEN v_rest LIKE 'failed to acquire %' THEN 'failed to acquire' END;
  v_rest := substr(v_rest, 2 + length(v_happened));
  v_mode := split_part(v_rest, ' ', 1);
  v_rest := substr(v_rest, 1 + length(v_mode));
  -- what is left is " on ", the object, and the end that was looked at above
  v_object := substr(v_rest, 5, length(v_rest) - length(v_waited) - 14);
  IF v_pid !~ '^\d+$' OR v_happened IS NULL OR v_mode !~ '^[A-Za-z]+Lock$' OR v_rest NOT LIKE ' on _%' OR v_object = '' THEN
    RETURN NULL;
  END IF;
  IF v_object ~ '[^ -~]' THEN
    -- a catalog may have the object's words and not the sentence's
    v_object := coalesce(lock_log.object_in_english(v_object), v_object);
  END IF;
  RETURN ARRAY[v_pid,
    CASE v_happened WHEN 'still waiting for' THEN 'waiting' WHEN 'acquired' THEN 'acquired' WHEN 'avoided deadlock for' THEN 'rearranged'
      WHEN 'failed to acquire' THEN 'failed_wait' ELSE 'deadlock_wait' END, v_mode, regexp_replace(v_object, ' by rearranging queue order$', ''), v_waited];
END
$$;
COMMENT ON FUNCTION lock_log.wait_words(text) IS
  'Process, kind (see lock_log.event.kind), lock mode, object in English and milliseconds of a log_lock_waits message of any language; NULL if it is none.';
