-- Why a cycle was skipped that met a lock: who holds it, else what PostgreSQL says, with the row or statement that it names.
CREATE OR REPLACE FUNCTION lock_engine.skipped_by_lock(p_message text, p_context text)
RETURNS text
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT 'skipped: ' || lock_engine.cycle_blocker_named(
    'locked by another session: ' || p_message || coalesce(' (' || substring(p_context FROM '^((?:while|SQL statement).{0,120})') || ')', ''))
$$;
COMMENT ON FUNCTION lock_engine.skipped_by_lock(text, text) IS
  'The outcome of a cycle that met a lock (55P03), from SQLERRM and PG_EXCEPTION_CONTEXT of it.';
