-- lock_catalog.graph_of: the waits-for graph, by the statement of graph_of_groups with or without what lock groups of several
-- processes need. Made of its text, so that each rule has one owner.
DO $install$
DECLARE
  v_text text := pg_catalog.pg_get_functiondef('lock_catalog.graph_of_groups(integer[], lock_catalog.sessions[], lock_catalog.locks[])'::regprocedure);
  v_statement text := substring(v_text FROM '\n  RETURN QUERY\n.*;(?=\nEND)');
  v_alone text := regexp_replace(v_statement, '/\*groups\*/.*?/\*alone (.*?)\*/', '\1', 'g');
BEGIN
  IF v_alone IS NULL OR v_alone ~ 'groups|several' THEN
    RAISE EXCEPTION 'lock_catalog.graph_of cannot be made: a mark is missing near "%".',
      substring(v_alone FROM '.{0,60}(?:groups|several).{0,60}');
  END IF;
  -- Sessions that come as they are asked for are tried as if each were alone: if one is not, nobody waits in that statement, and
  -- the other one is asked. What PostgreSQL shows of sessions is the same until the transaction's end.
  v_text := replace(v_text, 'lock_catalog.graph_of_groups(', 'lock_catalog.graph_of(');
  v_text := replace(v_text, E'\nBEGIN\n', E'\n  v_alone boolean;\nBEGIN\n');
  EXECUTE replace(v_text, v_statement, format($body$
  IF p_sessions IS NULL THEN
    v_alone := true;
  ELSE
    v_alone := NOT EXISTS (SELECT FROM unnest(p_sessions) s WHERE s.lock_group <> s.pid);
  END IF;
  IF v_alone THEN%s
    IF FOUND OR p_sessions IS NOT NULL
       OR NOT EXISTS (SELECT FROM pg_stat_get_activity(NULL) a WHERE a.backend_type = 'parallel worker') THEN
      RETURN;
    END IF;
  END IF;%s$body$, v_alone, v_statement));
END
$install$;
COMMENT ON FUNCTION lock_catalog.graph_of(integer[], lock_catalog.sessions[], lock_catalog.locks[]) IS
  'The waits-for graph of these sessions and locks (NULL: as they are now), without the waits of p_own_pids (NULL: as lock_catalog.own_pids() has them). object_key is '
  'needed of the locks that are waited for only. See lock_catalog.waits_for().';
