-- A deadlock whose error never reached the log: a handler (EXCEPTION in PL/pgSQL) caught it. What is logged is the victim's wait and
-- who held the lock; who else was in the ring is not.
CREATE OR REPLACE FUNCTION lock_engine.caught_participants(p_wait lock_log.event)
RETURNS jsonb
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_event lock_log.event := p_wait;
  v_holders integer[] := ARRAY(SELECT h.pid::integer FROM jsonb_array_elements_text(p_wait.detail -> 'holders') WITH ORDINALITY h(pid, n)
                                WHERE h.pid ~ '^\d{1,9}$' AND h.pid::integer <> p_wait.pid ORDER BY h.n);
BEGIN
  v_event.detail := jsonb_build_object('statements', '{}'::jsonb, 'edges',
    jsonb_build_array(jsonb_build_object('pid', p_wait.pid, 'mode', p_wait.lock_mode, 'object', p_wait.object_text, 'blocker', v_holders[1]))
    || coalesce((SELECT jsonb_agg(jsonb_build_object('pid', h.pid) ORDER BY h.n) FROM unnest(v_holders) WITH ORDINALITY h(pid, n)), '[]'));
  RETURN (SELECT jsonb_agg(CASE WHEN m.n = 1 THEN m.e || '{"caught": true}' ELSE m.e END ORDER BY m.n)
            FROM jsonb_array_elements(lock_engine.logged_participants(v_event)) WITH ORDINALITY m(e, n));
END
$$;
COMMENT ON FUNCTION lock_engine.caught_participants(lock_log.event) IS
  'The victim (caught: true) and the holders of its lock, as lock_engine.logged_participants() gives those of a whole ring.';
