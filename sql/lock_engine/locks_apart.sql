-- The locks of a cycle whose own statement has failed, and the figures of it: the last run stores nothing, but counts.
CREATE OR REPLACE FUNCTION lock_engine.locks_apart(
  p_now timestamptz, p_min_age interval, p_everything boolean, p_own_pids integer[], p_waiting integer,
  p_unseen_since timestamptz, p_sqlstate text, p_message text, p_seen jsonb DEFAULT NULL,
  p_none_begins boolean DEFAULT false,
  OUT locks integer, OUT blocking integer, OUT critical integer, OUT waiting integer, OUT written integer,
  OUT refresh_at timestamptz, OUT blockers lock_catalog.graph[])
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  v_apart record;
  v_stored record;
BEGIN
  IF p_none_begins THEN
    PERFORM lock_engine.part_failed('locks', p_sqlstate, p_message);
  ELSE
    SELECT a.* INTO v_apart
      FROM lock_engine.store_apart('locks', p_now, p_min_age, p_everything, p_own_pids, p_waiting > 0, p_unseen_since, NULL,
                                   p_sqlstate, p_message, p_seen) a;
    BEGIN
      IF p_seen IS NULL THEN
        SELECT s.* INTO v_stored
          FROM lock_engine.store_locks(p_now, p_min_age, p_everything, p_own_pids, p_waiting > 0, p_unseen_since, v_apart.set_aside) s;
      ELSE
        SELECT s.* INTO v_stored
          FROM lock_engine.store_locks_seen(p_now, p_min_age, p_everything, p_own_pids, p_waiting > 0, p_unseen_since, v_apart.set_aside, p_seen) s;
      END IF;
      locks := v_stored.locks;
      blocking := v_stored.blocking;
      critical := v_stored.critical;
      waiting := v_stored.waiting;
      written := p_waiting;
      refresh_at := v_stored.refresh_at;
      blockers := v_stored.blockers;
      RETURN;
    EXCEPTION
      WHEN OTHERS THEN
        IF lock_engine.ends_all(SQLSTATE) THEN
          RAISE;
        END IF;
    END;
  END IF;
  -- nothing can be stored of the locks: who blocks whom can still be told
  blockers := CASE
    WHEN p_seen IS NULL THEN ARRAY(SELECT g::lock_catalog.graph FROM lock_catalog.graph_of(p_own_pids, NULL, NULL) g WHERE g.blocked_total > 0)
    ELSE ARRAY(SELECT g FROM jsonb_populate_recordset(NULL::lock_catalog.graph, p_seen -> 'graph') g WHERE g.blocked_total > 0) END;
  waiting := p_waiting;
  written := 0;
END
$$;
COMMENT ON FUNCTION lock_engine.locks_apart(timestamptz, interval, boolean, integer[], integer, timestamptz, text, text, jsonb, boolean) IS
  'store_locks() without the sessions whose locks cannot be stored; figures that are not known then are NULL. p_none_begins: no row that '
  'begins now can be stored, whoever''s it is.';
