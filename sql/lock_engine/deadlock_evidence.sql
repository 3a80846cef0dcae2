-- What the members of a vanished cycle do now. The victim's transaction is aborted at once; the others go on.
CREATE OR REPLACE FUNCTION lock_engine.deadlock_evidence(p_members jsonb)
RETURNS jsonb
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_evidence jsonb;
BEGIN
  PERFORM pg_stat_clear_snapshot();
  WITH w AS MATERIALIZED (
    -- from the lock table: a waiter that wakes to make its check, or to log, shows no wait event for a moment
    SELECT k.pid, k.object_key FROM lock_catalog.locks k WHERE NOT k.granted)
  SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
           'pid', (m.e ->> 'pid')::integer, 'present', s.pid IS NOT NULL, 'state', s.state, 'state_change', s.state_change,
           'same_transaction', s.xact_start = (m.e ->> 'xact_start')::timestamptz,
           'same_statement', s.query_start = (m.e ->> 'query_start')::timestamptz AND s.state = 'active',
           'still_waiting', coalesce(s.query_start = (m.e ->> 'query_start')::timestamptz, false)
             AND EXISTS (SELECT FROM w WHERE w.pid = (m.e ->> 'process')::integer AND w.object_key = m.e ->> 'object_key'),
           'transaction', lock_catalog.transaction_status((m.e ->> 'backend_xid')::bigint))) ORDER BY m.n)
    INTO v_evidence
    FROM jsonb_array_elements(p_members) WITH ORDINALITY m(e, n)
    LEFT JOIN lock_catalog.sessions s ON s.pid = (m.e ->> 'pid')::integer
                                     AND s.backend_start = (m.e ->> 'backend_start')::timestamptz;
  RETURN v_evidence;
END
$$;
COMMENT ON FUNCTION lock_engine.deadlock_evidence(jsonb) IS
  'For each member of a cycle: is the session there, its state, is it still in the same transaction and statement, and '
  'whether its transaction committed or aborted.';
