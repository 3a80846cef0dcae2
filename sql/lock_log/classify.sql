-- What a record says about locks, NULL if nothing. The code decides where there is one; lines of log_lock_waits carry 00000, so
-- their words do, in whatever language. What a record is worth as a proof is lock_log.standing_of()'s.
CREATE OR REPLACE FUNCTION lock_log.classify(
  p_sqlstate text, p_message text, p_detail text, p_context text, p_pid integer,
  OUT kind text, OUT lock_mode text, OUT object_text text, OUT waited_ms numeric, OUT detail jsonb)
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_words text;
  v_match text[];
  v_lost text;
BEGIN
  IF coalesce(p_sqlstate, '00000') = '00000' THEN
    v_match := lock_log.wait_words(p_message);
    IF v_match IS NOT NULL THEN
      IF v_match[1]::integer <> p_pid THEN
        RETURN;
      END IF;
      kind := v_match[2]; lock_mode := v_match[3]; object_text := v_match[4]; waited_ms := v_match[5]::numeric;
      detail := lock_log.wait_detail(p_detail);
      RETURN;
    END IF;
  END IF;
  v_words := lock_log.escaped(left(p_message, 1000));
  IF p_sqlstate = '40P01' OR p_sqlstate IS NULL AND lock_log.begins(v_words, 'deadlock') THEN
    kind := 'deadlock';
    detail := lock_log.parse_deadlock(p_detail);
  ELSIF p_sqlstate IS NULL AND lock_log.parse_deadlock(p_detail) IS NOT NULL THEN
    -- of a language that is not known: nothing else has a ring behind it
    kind := 'deadlock';
    detail := lock_log.parse_deadlock(p_detail);
  ELSIF p_sqlstate = '55P03' THEN
    -- a refusal names the lock, a timeout does not
    kind := CASE WHEN lock_log.begins(v_words, 'not_available') OR lock_log.without_markers(p_message) ~ ('[' || lock_log.quotes() || '0-9]') THEN 'not_available' ELSE 'lock_timeout' END;
  ELSIF p_sqlstate IS NULL AND lock_log.begins(v_words, 'lock_timeout') THEN
    kind := 'lock_timeout';
  ELSIF p_sqlstate IS NULL AND (lock_log.begins(v_words, 'not_available') OR lock_log.says(v_words, 'named_first')) THEN
    kind := 'not_available';
  ELSIF coalesce(p_sqlstate, '57014') = '57014' AND lock_log.begins(v_words, 'autovacuum_cancelled') THEN
    kind := 'autovacuum_cancelled';
  ELSIF coalesce(p_sqlstate, '40001') = '40001' AND lock_log.begins(v_words, 'recovery_conflict') THEN
    kind := 'recovery_conflict';
  ELSIF p_sqlstate = '57P01' THEN
    kind := 'terminated';
  ELSIF p_sqlstate = '57014' OR p_sqlstate IS NULL AND lock_log.begins(v_words, 'cancelled') THEN
    kind := 'cancelled';
  END IF;
  IF kind = 'deadlock' AND NOT detail -> 'edges' @> jsonb_build_array(jsonb_build_object('pid', p_pid)) THEN
    -- a ring of others
    kind := NULL;
    detail := NULL;
  END IF;
  IF kind = 'not_available' THEN
    object_text := substring(p_message FROM '^could not obtain lock on (.*)$');
    -- in other languages between two quotes; where their number is odd, a catalog has lost one
    IF object_text IS NULL AND regexp_replace(p_message, '[^' || lock_log.quotes() || ']', '', 'g') ~ '^(..)*$' AND lock_log.quoted_name(p_message) IS NOT NULL THEN
      object_text := CASE WHEN lock_log.says(v_words, 'row') THEN 'row in relation ' WHEN lock_log.says(v_words, 'table') THEN 'relation ' ELSE '' END
        || '"' || lock_log.quoted_name(p_message) || '"';
    END IF;
    v_lost := (lock_log.words('lost_quote'))[1];
    IF object_text IS NULL AND strpos(v_words, v_lost) > 0 AND right(v_words, 1) = '"' THEN
      object_text := 'relation "' || convert_from(decode(substr(v_words, strpos(v_words, v_lost) + length(v_lost)), 'escape'), 'UTF8');
    END IF;
  ELSIF kind IN ('lock_timeout', 'cancelled', 'terminated') THEN
    object_text := lock_log.row_in_context(p_context);
  END IF;
END
$$;
COMMENT ON FUNCTION lock_log.classify(text, text, text, text, integer) IS
  'Kind of a log record about locks (see lock_log.event.kind) with lock, object and milliseconds waited; kind NULL: not about locks.';
