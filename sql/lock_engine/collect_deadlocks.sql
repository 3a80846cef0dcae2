-- Takes what is new about deadlocks: the log since the last call, the counters, the cycles that vanished. Nothing new
-- costs a look at a file and at the counters. One at a time: whoever comes second leaves it to the first. A table locked
-- by somebody else is not waited for: what is new stays for the next call.
CREATE OR REPLACE FUNCTION lock_engine.collect_deadlocks()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
  v_began timestamptz := clock_timestamp();
  -- a cycle before this in the same transaction has its rows placed last of all, and ours with them
  v_own boolean := coalesce(current_setting('lock_vault.unplaced_since', true), '') = '';
  v_new integer := 0;
  v_taken integer;
  v_open record;
BEGIN
  IF NOT pg_try_advisory_xact_lock(460, 5) THEN
    RETURN 0;
  END IF;
  BEGIN
    v_taken := lock_log.read_server_log();
    PERFORM lock_engine.count_deadlocks();
    IF v_taken > 0 AND EXISTS (SELECT FROM lock_log.event e WHERE NOT e.handled) THEN
      PERFORM lock_engine.defer_keys(v_began);
      v_new := lock_engine.store_logged_deadlocks();
    END IF;
    SELECT EXISTS (SELECT FROM lock_engine.deadlock_ledger l WHERE NOT l.settled) AS counted,
           EXISTS (SELECT FROM lock_engine.deadlock_observation o WHERE o.outcome IS NULL) AS seen
      INTO v_open;
    IF v_open.counted OR v_new > 0 THEN
      PERFORM lock_engine.settle_ledger();
    END IF;
    IF v_open.seen THEN
      PERFORM lock_engine.defer_keys(v_began);
      v_new := v_new + lock_engine.settle_deadlocks();
    END IF;
  EXCEPTION
    WHEN lock_not_available THEN
      RETURN NULL;
  END;
  IF v_own AND current_setting('lock_vault.unplaced_since', true) <> '' THEN
    PERFORM lock_engine.place_rows();
  END IF;
  RETURN v_new;
END
$$;
COMMENT ON FUNCTION lock_engine.collect_deadlocks() IS
  'Stores the deadlocks newly known from log, counter and looks; how many are new, NULL if a table was locked. Never fails because of the log: see lock_log.status().';
ALTER FUNCTION lock_engine.collect_deadlocks() OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.collect_deadlocks() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.collect_deadlocks() TO lock_monitoring_role;
