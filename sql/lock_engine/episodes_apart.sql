-- The blocking episodes of a cycle whose own statement has failed. Who blocks is counted whether it could be stored or not.
CREATE OR REPLACE FUNCTION lock_engine.episodes_apart(
  p_now timestamptz, p_blockers lock_catalog.graph[], p_unseen_since timestamptz, p_sqlstate text, p_message text,
  p_seen jsonb DEFAULT NULL,
  OUT blockers integer, OUT roots integer, OUT critical integer, OUT written integer,
  OUT refresh_at timestamptz, OUT recommendations text[])
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  v_apart record;
BEGIN
  SELECT a.* INTO v_apart
    FROM lock_engine.store_apart('episodes', p_now, NULL, NULL, NULL, NULL, p_unseen_since, p_blockers, p_sqlstate, p_message, p_seen) a;
  SELECT count(*), count(*) FILTER (WHERE b.is_root), count(*) FILTER (WHERE b.is_root AND b.severity = 'CRITICAL')
    INTO blockers, roots, critical FROM unnest(p_blockers) b;
  written := 0;
  BEGIN
    -- stores nothing more, but knows what is to be done about those that could be stored
    IF p_seen IS NULL THEN
      SELECT s.refresh_at, s.recommendations INTO refresh_at, recommendations
        FROM lock_engine.store_sessions(p_now, p_blockers, p_unseen_since, v_apart.set_aside) s;
    ELSE
      SELECT s.refresh_at, s.recommendations INTO refresh_at, recommendations
        FROM lock_engine.store_sessions_seen(p_now, p_blockers, p_unseen_since, v_apart.set_aside, p_seen) s;
    END IF;
  EXCEPTION
    WHEN OTHERS THEN
      IF lock_engine.ends_all(SQLSTATE) THEN
        RAISE;
      END IF;
  END;
END
$$;
COMMENT ON FUNCTION lock_engine.episodes_apart(timestamptz, lock_catalog.graph[], timestamptz, text, text, jsonb) IS
  'store_sessions() without the blockers whose episodes cannot be stored; the figures count them.';
