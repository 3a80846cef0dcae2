-- The locks of a cycle whose own statement has failed, and the figures of it: the last run stores nothing, but counts.
CREATE OR REPLACE FUNCTION lock_engine.locks_apart(
  p_now timestamptz, p_min_age interval, p_everything boolean, p_own_pids integer[], p_waiting integer,
  p_unseen_since timestamptz, p_sqlstate text, p_message text,
  OUT locks integer, OUT blocking integer, OUT critical integer, OUT waiting integer, OUT written integer,
  OUT refresh_at timestamptz, OUT blockers lock_catalog.graph[])
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
  v_apart record;
BEGIN
  SELECT a.* INTO v_apart
    FROM lock_engine.store_apart('locks', p_now, p_min_age, p_everything, p_own_pids, p_waiting > 0, p_unseen_since, NULL,
                                 p_sqlstate, p_message) a;
  BEGIN
    SELECT s.locks, s.blocking, s.critical, s.waiting, p_waiting, s.refresh_at, s.blockers
      INTO locks, blocking, critical, waiting, written, refresh_at, blockers
      FROM lock_engine.store_locks(p_now, p_min_age, p_everything, p_own_pids, p_waiting > 0, p_unseen_since, v_apart.set_aside) s;
  EXCEPTION
    WHEN OTHERS THEN
      IF lock_engine.ends_all(SQLSTATE) THEN
        RAISE;
      END IF;
      -- nothing can be stored of the locks: who blocks whom can still be told
      blockers := ARRAY(SELECT g::lock_catalog.graph FROM lock_catalog.graph_of(p_own_pids, NULL, NULL) g WHERE g.blocked_total > 0);
      waiting := p_waiting;
      written := 0;
  END;
END
$$;
COMMENT ON FUNCTION lock_engine.locks_apart(timestamptz, interval, boolean, integer[], integer, timestamptz, text, text) IS
  'store_locks() without the sessions whose locks cannot be stored; figures that are not known then are NULL.';
