-- Closes one period of watching. What PostgreSQL counted between two calls comes as arguments from the loop, which
-- asked lock_engine.transaction_counters() at both ends; NULL means that it cannot be known, p_unknown says why.
CREATE OR REPLACE FUNCTION lock_engine.record_coverage(
  p_period_start timestamptz,
  p_period_end timestamptz,
  p_leader_host text,
  p_looks integer,
  p_cycles_run integer,
  p_cycles_skipped integer,
  p_cycles_failed integer,
  p_deadlock_looks integer,
  p_largest_gap_ms numeric,
  p_busy_ms numeric,
  p_slowest_cycle_ms numeric,
  p_finished_transactions bigint,
  p_monitor_transactions bigint,
  p_seen_transactions bigint,
  p_unknown text[] DEFAULT '{}')
RETURNS bigint
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT lock_engine.require_owner('lock_vault_owner');
  SELECT lock_engine.require_watcher();
  INSERT INTO lock_engine.coverage (
    period_start, period_end, leader_pid, leader_host, looks, cycles_run, cycles_skipped, cycles_failed, deadlock_looks,
    largest_gap_ms, busy_ms, slowest_cycle_ms, finished_transactions, monitor_transactions, seen_transactions,
    unsampled_transactions, unknown)
  VALUES (p_period_start, p_period_end, pg_backend_pid(), p_leader_host, p_looks, p_cycles_run, p_cycles_skipped,
          p_cycles_failed, p_deadlock_looks, p_largest_gap_ms, p_busy_ms, p_slowest_cycle_ms, p_finished_transactions,
          p_monitor_transactions, p_seen_transactions,
          -- NULL as soon as one of them is NULL; greatest() alone would ignore the NULL
          CASE WHEN p_finished_transactions IS NOT NULL AND p_seen_transactions IS NOT NULL
               THEN greatest(p_finished_transactions - p_monitor_transactions - p_seen_transactions, 0) END,
          coalesce(p_unknown, '{}'))
  RETURNING unsampled_transactions
$function$;
COMMENT ON FUNCTION lock_engine.record_coverage(timestamptz, timestamptz, text, integer, integer, integer, integer,
  integer, numeric, numeric, numeric, bigint, bigint, bigint, text[]) IS
  'Stores one period of the loop''s coverage; returns the transactions too short to have been sampled, NULL if unknown.';
ALTER FUNCTION lock_engine.record_coverage(timestamptz, timestamptz, text, integer, integer, integer, integer, integer,
  numeric, numeric, numeric, bigint, bigint, bigint, text[]) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.record_coverage(timestamptz, timestamptz, text, integer, integer, integer, integer,
  integer, numeric, numeric, numeric, bigint, bigint, bigint, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.record_coverage(timestamptz, timestamptz, text, integer, integer, integer, integer,
  integer, numeric, numeric, numeric, bigint, bigint, bigint, text[]) TO lock_monitoring_role;
