-- lock_engine.store_locks_seen and store_sessions_seen: the same statements over a look that was kept, p_seen, instead of the
-- present. Made of the texts of store_locks and store_sessions, so that each rule has one owner and the plan of a usual cycle
-- nothing of this: only where they read from is replaced, and each place must be there, once.
DO $install$
DECLARE
  v_text text;
  v_name text;
  v_places text[];
  c_locks constant text[] := ARRAY[
    'p_apart bigint[] DEFAULT ''{}''::bigint[]', 'p_apart bigint[], p_seen jsonb',
    'FROM lock_catalog.sessions x', 'FROM jsonb_populate_recordset(NULL::lock_catalog.sessions, p_seen -> ''sessions'') x',
    'FROM lock_catalog.locks x', 'FROM jsonb_populate_recordset(NULL::lock_catalog.locks, p_seen -> ''locks'') x',
    'FROM lock_catalog.graph_of(p_own_pids, ARRAY(SELECT x::lock_catalog.sessions FROM everybody x),
                                 ARRAY(SELECT x::lock_catalog.locks FROM aside x)) n',
    'FROM jsonb_populate_recordset(NULL::lock_catalog.graph, p_seen -> ''graph'') n',
    'JOIN pg_prepared_xacts p ON',
    'JOIN jsonb_to_recordset(p_seen -> ''prepared'') AS p (transaction bigint, prepared timestamptz, owner text, database text) ON',
    'clock_timestamp() AS read_at', '(p_seen ->> ''read_at'')::timestamptz AS read_at',
    'FROM lock_engine.waits_not_served(NULL)', 'FROM lock_engine.waits_not_served(p_seen)',
    'v_any_prepared boolean := EXISTS (SELECT 1 FROM pg_prepared_xact())', 'v_any_prepared boolean := p_seen -> ''prepared'' <> ''[]''',
    'v_aside boolean := p_anyone_waits OR v_any_prepared', 'v_aside boolean := true'];
  c_sessions constant text[] := c_locks[1:4];
BEGIN
  FOREACH v_name IN ARRAY ARRAY['store_locks', 'store_sessions'] LOOP
    v_text := (SELECT pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.proname = v_name AND p.pronamespace = 'lock_engine'::regnamespace);
    v_places := ARRAY['FUNCTION lock_engine.' || v_name || '(', 'FUNCTION lock_engine.' || v_name || '_seen(']
      || CASE v_name WHEN 'store_locks' THEN c_locks ELSE c_sessions END;
    FOR i IN 1 .. cardinality(v_places) BY 2 LOOP
      IF length(v_text) - length(replace(v_text, v_places[i], '')) <> length(v_places[i]) THEN
        RAISE EXCEPTION 'lock_engine.% does not hold "%" once, so lock_engine.%_seen cannot be made of it.', v_name, v_places[i], v_name;
      END IF;
      v_text := replace(v_text, v_places[i], v_places[i + 1]);
    END LOOP;
    EXECUTE v_text;
  END LOOP;
END
$install$;
COMMENT ON FUNCTION lock_engine.store_locks_seen(timestamptz, interval, boolean, integer[], boolean, timestamptz, bigint[], jsonb) IS
  'lock_engine.store_locks() for what lock_catalog.look() saw at p_now.';
COMMENT ON FUNCTION lock_engine.store_sessions_seen(timestamptz, lock_catalog.graph[], timestamptz, bigint[], jsonb) IS
  'lock_engine.store_sessions() for what lock_catalog.look() saw at p_now.';
