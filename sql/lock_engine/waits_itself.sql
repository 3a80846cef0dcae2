-- A session with its parallel workers is one waiting session, however many of them wait: of its waits at once the longest
-- counts, so that its time is that in which any of them waits, and nothing is added up twice. Which one it is
-- lock_engine.store_locks writes down (beside, see the column's comment). By relation (or, without one, by type of
-- lock) it counts once for each that it waits for.
-- Whatever adds up or counts waiting sessions asks here. Inlined.
CREATE OR REPLACE FUNCTION lock_engine.waits_itself(p_beside text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
  SELECT p_beside IS NULL OR p_beside OPERATOR(pg_catalog.=) 'was'
$$;
COMMENT ON FUNCTION lock_engine.waits_itself(text) IS
  'Whether a row of lock_activity_s is of the wait that counts for its session: given its column beside.';
GRANT EXECUTE ON FUNCTION lock_engine.waits_itself(text) TO lock_monitoring_role;
