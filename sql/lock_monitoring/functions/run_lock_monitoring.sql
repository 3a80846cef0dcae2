CREATE OR REPLACE FUNCTION lock_monitoring.run_lock_monitoring(p_tenant_hk bytea DEFAULT NULL)
RETURNS TABLE (monitoring_summary varchar(200), locks_captured integer, blocking_sessions integer,
               deadlocks_detected integer, critical_issues integer, recommendations text[])
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
#variable_conflict use_column
DECLARE
  v_cycle record;
  v_deadlocks integer;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_monitoring.run_lock_monitoring');
  IF p_tenant_hk IS NOT NULL THEN
    PERFORM lock_engine.check_tenant(p_tenant_hk);
  END IF;
  SELECT c.* INTO v_cycle FROM lock_engine.run_cycle(false) c;
  v_deadlocks := lock_engine.collect_deadlocks();
  IF v_cycle.outcome LIKE 'skipped%' THEN
    PERFORM lock_engine.place_rows();
    RETURN QUERY SELECT left(v_cycle.outcome, 200)::varchar(200), NULL::integer, NULL::integer, v_deadlocks, NULL::integer,
                        NULL::text[];
    RETURN;
  END IF;
  IF p_tenant_hk IS NOT NULL THEN
    PERFORM lock_engine.ask_site_here();
    SELECT c.outcome, t.* INTO v_cycle
      FROM (SELECT v_cycle.outcome AS outcome) c, lock_engine.tenant_figures(p_tenant_hk) t;
  END IF;
  RETURN QUERY SELECT
    left(CASE
      WHEN v_cycle.waiting_sessions = 0 THEN format('Nobody is waiting; %s locks', v_cycle.locks_captured)
      ELSE format('%s%s %s behind %s root %s; %s locks',
                  CASE WHEN v_cycle.critical_blockers > 0 THEN format('CRITICAL (%s): ', v_cycle.critical_blockers) ELSE '' END,
                  v_cycle.waiting_sessions, CASE v_cycle.waiting_sessions WHEN 1 THEN 'session waits' ELSE 'sessions wait' END,
                  v_cycle.root_blockers, CASE v_cycle.root_blockers WHEN 1 THEN 'blocker' ELSE 'blockers' END,
                  v_cycle.locks_captured) END
      || CASE WHEN v_deadlocks IS NULL THEN '; deadlocks could not be looked for: a table of theirs is locked'
              WHEN v_deadlocks > 0 THEN format('; %s new %s', v_deadlocks, CASE v_deadlocks WHEN 1 THEN 'deadlock' ELSE 'deadlocks' END)
              ELSE '' END
      || CASE v_cycle.outcome WHEN 'unchanged' THEN '; unchanged' ELSE '' END, 200)::varchar(200),
    v_cycle.locks_captured, v_cycle.blocking_sessions, v_deadlocks, v_cycle.critical_blockers + coalesce(v_deadlocks, 0),
    coalesce(v_cycle.recommendations, '{}');
  PERFORM lock_engine.place_rows();
END
$$;
COMMENT ON FUNCTION lock_monitoring.run_lock_monitoring(bytea) IS
  'One monitoring cycle: locks, blocking sessions, deadlocks; stores what changed and nothing else. critical_issues counts '
  'CRITICAL root blockers and new deadlocks. Where the cycle was skipped the summary says why and the figures are NULL. '
  'The tenant filters what is counted, not what is stored.';
