-- The same deadlock over time: statements without literals, modes and kinds of objects, wherever in the ring one begins;
-- no pids, rows, transactions or keys.
CREATE OR REPLACE FUNCTION lock_engine.deadlock_pattern(p_participants jsonb)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_parts text[] := ARRAY(
    SELECT concat_ws('/', coalesce(lock_engine.query_fingerprint(left(p.e ->> 'query', 900)), 'unknown'), p.e ->> 'wanted_mode',
             CASE WHEN p.e ->> 'lock_type' IN ('transactionid', 'tuple') THEN 'row'
                  WHEN p.e ->> 'lock_type' = 'relation'
                    THEN 'relation ' || coalesce(p.e ->> 'table', concat_ws(':', p.e ->> 'database_oid', p.e ->> 'relation_oid'))
                  ELSE p.e ->> 'lock_type' END)
      FROM jsonb_array_elements(p_participants) WITH ORDINALITY p(e, n) ORDER BY p.n);
BEGIN
  IF cardinality(v_parts) < 2 OR NOT EXISTS (SELECT FROM jsonb_array_elements(p_participants) e WHERE e ? 'query') THEN
    RETURN NULL;
  END IF;
  RETURN (SELECT md5(min(array_to_string(v_parts[i:] || v_parts[:i - 1], ' -> ') COLLATE "C"))
            FROM generate_series(1, cardinality(v_parts)) i);
END
$$;
COMMENT ON FUNCTION lock_engine.deadlock_pattern(jsonb) IS
  '32 hex digits, equal for deadlocks of the same statements in the same ring; NULL where the participants are not known.';
