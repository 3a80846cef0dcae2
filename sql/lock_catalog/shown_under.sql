-- Under whom a waiter is shown, in every tree: the one queued right ahead of it, else the first holder; those who wait for a row's tuple
-- lock stand beside the one that holds it, under whom that one waits for. Inlined.
CREATE OR REPLACE FUNCTION lock_catalog.shown_under(p_hard bigint[], p_soft bigint[], p_lock_type text, p_holders_hard bigint[], p_holders_soft bigint[])
RETURNS bigint
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
  SELECT coalesce(p_soft[pg_catalog.cardinality(p_soft)],
                  CASE WHEN p_lock_type OPERATOR(pg_catalog.=) 'tuple' THEN coalesce(p_holders_hard[1], p_holders_soft[1]) END,
                  p_hard[1])
$$;
COMMENT ON FUNCTION lock_catalog.shown_under(bigint[], bigint[], text, bigint[], bigint[]) IS
  'The node under which a tree shows a waiter, of its hard and soft blockers; p_holders_hard, p_holders_soft: those of its first hard blocker.';
GRANT EXECUTE ON FUNCTION lock_catalog.shown_under(bigint[], bigint[], text, bigint[], bigint[]) TO lock_monitoring_role;
