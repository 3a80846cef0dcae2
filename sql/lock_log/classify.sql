-- What a record says about locks, NULL if nothing. The code decides where there is one; lines of log_lock_waits carry
-- 00000, so their words do. Who wrote it is not judged here (lock_log.standing_of).
CREATE OR REPLACE FUNCTION lock_log.classify(
  p_sqlstate text, p_message text, p_detail text, p_context text, p_pid integer,
  OUT kind text, OUT lock_mode text, OUT object_text text, OUT waited_ms numeric, OUT detail jsonb)
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_match text[];
BEGIN
  IF p_sqlstate = '40P01' OR (p_sqlstate IS NULL AND p_message = 'deadlock detected') THEN
    detail := lock_log.parse_deadlock(p_detail);
    IF detail IS NULL AND p_message <> 'deadlock detected' AND p_detail IS NOT NULL THEN
      RETURN;
    END IF;
    IF detail IS NOT NULL AND NOT detail -> 'edges' @> jsonb_build_array(jsonb_build_object('pid', p_pid)) THEN
      RETURN;
    END IF;
    kind := 'deadlock';
  ELSIF p_sqlstate = '55P03' OR (p_sqlstate IS NULL AND p_message ~ '^(canceling statement due to lock timeout|could not obtain lock on )') THEN
    kind := CASE WHEN p_message LIKE 'could not obtain lock%' THEN 'not_available' ELSE 'lock_timeout' END;
    object_text := substring(p_message FROM '^could not obtain lock on (.*)$');
  ELSIF p_sqlstate = '57014' OR (p_sqlstate IS NULL AND p_message LIKE 'canceling statement due to %') THEN
    kind := 'cancelled';
  ELSIF coalesce(p_sqlstate, '00000') = '00000' THEN
    v_match := lock_log.wait_words(p_message);
    IF v_match IS NULL OR v_match[1]::integer <> p_pid THEN
      RETURN;
    END IF;
    kind := lock_log.wait_kind(v_match[2]);
    lock_mode := v_match[3]; object_text := v_match[4]; waited_ms := v_match[5]::numeric;
    detail := lock_log.wait_detail(p_detail);
  END IF;
END
$$;
COMMENT ON FUNCTION lock_log.classify(text, text, text, text, integer) IS
  'Kind of a log record about locks (see lock_log.event.kind) with lock, object and milliseconds waited; kind NULL: not about locks.';
