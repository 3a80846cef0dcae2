-- The same of any language: how the line begins and what happened is told by words; the process is its first number, the lock is its
-- mode's name, the time is the number with three decimals and a unit, and what numbers are left are the object's.
-- PostgreSQL keeps 32 regular expressions of a session ready: what reads one record must not need more, or each is made anew for
-- each record. So here and in the functions below there is none where a comparison does.
CREATE OR REPLACE FUNCTION lock_log.wait_in_words(p_message text)
RETURNS text[]
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_words text;
  -- what stands before the first number, and that
  v_start text[] := regexp_match(p_message, '^([^0-9]*)([0-9]+)');
  v_modes text[] := ARRAY(SELECT m[1] FROM regexp_matches(p_message, '(Access(?:Share|Exclusive)Lock|Row(?:Share|Exclusive)Lock|Share(?:UpdateExclusive|RowExclusive)?Lock|ExclusiveLock)', 'g') m);
  v_begins text;
  v_waits text[];
  v_kind text;
  v_left text;
  v_object text;
  v_place text;
BEGIN
  IF length(p_message) > 500 OR cardinality(v_modes) <> 1 OR v_start IS NULL THEN
    RETURN NULL;
  END IF;
  v_words := lock_log.escaped(p_message);
  v_begins := rtrim(lock_log.escaped(v_start[1]));
  IF v_begins <> ALL (lock_log.words('wait')) AND v_begins || ' ' <> ALL (lock_log.words('wait')) THEN
    RETURN NULL;
  END IF;
  FOREACH v_kind IN ARRAY ARRAY['deadlock_wait', 'rearranged', 'failed_wait', 'acquired', 'waiting', 'lock_failure'] LOOP
    EXIT WHEN lock_log.says(v_words, v_kind);
    v_kind := NULL;
  END LOOP;
  -- its place in the statement, of stderr, is no number of the object
  v_place := '(?:(?: [^0-9]{1,20} | ?\([^0-9 ]{0,12} ?| ?)\d+[^0-9]{0,20})$';
  v_waits := regexp_match(p_message, '(\d+[.,]\d{3}) ?(?:ms|milisaniye|[^ -~]{2,3})');
  v_left := replace(v_start[1] || substr(p_message, 1 + length(v_start[1] || v_start[2])), v_modes[1], ' ');
  IF v_waits IS NOT NULL THEN
    v_left := replace(v_left, v_waits[1], ' ');
  END IF;
  v_object := lock_log.object_in_english(v_left);
  IF v_object IS NULL THEN
    v_object := lock_log.object_in_english(regexp_replace(v_left, v_place, ''));
  END IF;
  IF v_kind IS NULL OR v_object IS NULL OR (v_waits IS NULL) <> (v_kind = 'lock_failure') THEN
    RETURN NULL;
  END IF;
  RETURN ARRAY[v_start[2], v_kind, v_modes[1], v_object, replace(v_waits[1], ',', '.')];
END
$$;
COMMENT ON FUNCTION lock_log.wait_in_words(text) IS
  'See lock_log.wait_words(): what a message of any language says of a wait, NULL if it is none; milliseconds NULL for a lock that was not waited for.';
