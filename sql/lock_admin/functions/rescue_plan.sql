CREATE OR REPLACE FUNCTION lock_admin.rescue_plan()
RETURNS TABLE (step integer, action text, pid integer, who text, frees_at_once integer, follow integer, loses text, text text)
LANGUAGE plpgsql
VOLATILE
ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT p.step, p.action, p.pid, p.who, p.frees_at_once, p.follow, p.loses, p.text
    FROM lock_admin.rescue_plan_of(
      ARRAY(SELECT w::lock_catalog.graph FROM lock_catalog.waits_for() AS w), clock_timestamp()) AS p;
END
$$;
COMMENT ON FUNCTION lock_admin.rescue_plan() IS
  'The rescue plan now: which sessions to stop, one after the other, so that most go on soonest. Rows without a step say who is '
  'left alone and why, and what was not tried. Changes nothing, stops nobody.';
