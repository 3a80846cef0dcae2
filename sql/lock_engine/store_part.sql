-- One part of a cycle by its name, without the records p_apart: for the ways after a failure. The usual way is store_look's own.
CREATE OR REPLACE FUNCTION lock_engine.store_part(
  p_part text, p_now timestamptz, p_min_age interval, p_everything boolean, p_own_pids integer[], p_anyone_waits boolean,
  p_unseen_since timestamptz, p_blockers lock_catalog.graph[], p_seen jsonb, p_apart bigint[])
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF p_part = 'locks' AND p_seen IS NULL THEN
    PERFORM lock_engine.store_locks(p_now, p_min_age, p_everything, p_own_pids, p_anyone_waits, p_unseen_since, p_apart);
  ELSIF p_part = 'locks' THEN
    PERFORM lock_engine.store_locks_seen(p_now, p_min_age, p_everything, p_own_pids, p_anyone_waits, p_unseen_since, p_apart, p_seen);
  ELSIF p_part = 'episodes' AND p_seen IS NULL THEN
    PERFORM lock_engine.store_sessions(p_now, p_blockers, p_unseen_since, p_apart);
  ELSIF p_part = 'episodes' THEN
    PERFORM lock_engine.store_sessions_seen(p_now, p_blockers, p_unseen_since, p_apart, p_seen);
  ELSE
    PERFORM lock_engine.store_links(p_now, p_apart, p_unseen_since);
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.store_part(text, timestamptz, interval, boolean, integer[], boolean, timestamptz, lock_catalog.graph[], jsonb, bigint[]) IS
  'Stores the locks, episodes or links of a look without the records p_apart; p_seen NULL: of now. Called by store_apart and store_again.';
