-- lock_catalog.graph_alone: the waits-for graph while no lock group has more than one process, which is nearly always: the text of
-- graph_of_groups without what stands between its marks, so that each rule has one owner. A plan of a third less nodes is
-- prepared for each look.
DO $install$
DECLARE
  v_text text := pg_catalog.pg_get_functiondef('lock_catalog.graph_of_groups(integer[], lock_catalog.sessions[], lock_catalog.locks[])'::regprocedure);
BEGIN
  v_text := replace(v_text, 'lock_catalog.graph_of_groups(', 'lock_catalog.graph_alone(');
  v_text := regexp_replace(v_text, '/\*groups\*/.*?/\*alone (.*?)\*/', '\1', 'g');
  IF v_text ~ 'groups|several' THEN
    RAISE EXCEPTION 'lock_catalog.graph_alone cannot be made of graph_of_groups: a mark is missing near "%".',
      substring(v_text FROM '.{0,60}(?:groups|several).{0,60}');
  END IF;
  EXECUTE v_text;
END
$install$;
COMMENT ON FUNCTION lock_catalog.graph_alone(integer[], lock_catalog.sessions[], lock_catalog.locks[]) IS
  'lock_catalog.graph_of() while each process that waits is a lock group of its own.';
