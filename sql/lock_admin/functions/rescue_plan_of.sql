-- lock_catalog.rescue_plan() by this site's settings, for whoever has read the graph already.
CREATE OR REPLACE FUNCTION lock_admin.rescue_plan_of(p_graph lock_catalog.graph[], p_at timestamptz, p_past boolean DEFAULT false)
RETURNS TABLE (
  step integer, action text, node bigint, pid integer, backend_start timestamptz, who text, frees_at_once integer, follow integer,
  at_least boolean, loses text, text text)
LANGUAGE plpgsql
STABLE
ROWS 10
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
#variable_conflict use_column
DECLARE
  v_own text[];
  v_protected text[];
BEGIN
  IF cardinality(p_graph) > 0 THEN
    BEGIN
      v_own := ARRAY(SELECT jsonb_array_elements_text(lock_admin.setting('monitor.own_logins')));
      v_protected := ARRAY(SELECT jsonb_array_elements_text(lock_admin.setting('door.protected_users')));
    EXCEPTION
      -- the live picture goes on; who must not be stopped is not known, so nobody is named
      WHEN lock_not_available THEN
        action := 'note';
        at_least := false;
        text := 'No plan: somebody has locked the settings, which say who must not be stopped.';
        RETURN NEXT;
        RETURN;
    END;
    RETURN QUERY
    SELECT p.* FROM lock_catalog.rescue_plan(
      p_graph, p_at, CASE WHEN p_past THEN 0 ELSE pg_backend_pid() END, v_own, v_protected, p_past) AS p;
  END IF;
END
$$;
COMMENT ON FUNCTION lock_admin.rescue_plan_of(lock_catalog.graph[], timestamptz, boolean) IS
  'lock_catalog.rescue_plan() of a graph that was read already, by the door''s settings. Changes nothing.';
