-- lock_catalog.graph_given: the waits-for graph as a pure rule, all that it needs given, no catalog and no table read: for a moment that was
-- read somewhere else, or before. Made of the text of graph_of_groups, in which what is read live and what is given instead stand
-- between two marks, live and given; so that each rule has one owner.
-- What is left out is the shortcut for forests, which needs a loop: a chain of a thousand sessions costs a second without it.
DO $install$
DECLARE
  v_text text := pg_catalog.pg_get_functiondef('lock_catalog.graph_of_groups(integer[], lock_catalog.sessions[], lock_catalog.locks[])'::regprocedure);
  v_given text := regexp_replace(v_text, '/\*live\*/.*?/\*given\s(.*?)\*/', '\1', 'g');
BEGIN
  v_given := regexp_replace(v_given, '\mgraph_of_groups\(.*?\)\n', format(E'graph_given(\n  %s)\n',
    'p_at timestamptz, p_own_pids integer[], p_sessions lock_catalog.sessions[], p_locks lock_catalog.locks[], p_blockers lock_catalog.blockers[], '
    'p_names lock_catalog.names[], p_prepared lock_catalog.prepared[]'));
  v_given := regexp_replace(v_given, '\n LANGUAGE plpgsql\n', E'\n LANGUAGE plpgsql\n STABLE\n');
  v_given := regexp_replace(v_given, '\nDECLARE\n.*?\nBEGIN\n', E'\nDECLARE\n  v_now constant timestamptz := p_at;\nBEGIN\n');
  IF v_given ~ '/\*(?:live|given)|pg_blocking_pids\(|pg_class|pg_prepared_xacts|readable\(|add_up|v_utf8|v_own' THEN
    RAISE EXCEPTION 'lock_catalog.graph_given cannot be made: a mark is missing near "%".',
      substring(v_given FROM '.{0,60}(?:/\*(?:live|given)|pg_blocking_pids\(|pg_class|pg_prepared_xacts|readable\(|add_up|v_utf8|v_own).{0,60}');
  END IF;
  EXECUTE v_given;
END
$install$;
COMMENT ON FUNCTION lock_catalog.graph_given(timestamptz, integer[], lock_catalog.sessions[], lock_catalog.locks[], lock_catalog.blockers[],
  lock_catalog.names[], lock_catalog.prepared[]) IS
  'The waits-for graph at p_at of what was read then: rows of lock_catalog.sessions, locks, blockers (of the head of each class of like waiters at '
  'least), names and prepared; p_own_pids: whose waits are left out. Reads nothing. See lock_catalog.waits_for().';
