CREATE OR REPLACE FUNCTION lock_engine.deadlock_ledger_summary(p_since timestamptz DEFAULT NULL)
RETURNS TABLE (database_name text, counted integer, captured integer, by_sampling integer, by_log integer, missed integer,
               not_yet_settled integer, first_window timestamptz, last_window timestamptz)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT l.database_name, sum(l.counted)::integer, sum(l.captured)::integer, sum(l.by_sampling)::integer,
         sum(l.by_log)::integer, sum(l.missed)::integer,
         (sum(l.counted - l.captured - l.missed))::integer, min(l.window_start), max(l.window_end)
    FROM lock_engine.deadlock_ledger l
   WHERE l.window_end >= coalesce(p_since, '-infinity'::timestamptz)
   GROUP BY l.database_name
   ORDER BY l.database_name
$$;
COMMENT ON FUNCTION lock_engine.deadlock_ledger_summary(timestamptz) IS
  'By database since a moment: deadlocks PostgreSQL counted, captured (by sampling, by log: one may be both), missed, and '
  'those counted less than 15 s ago that have no event yet.';
