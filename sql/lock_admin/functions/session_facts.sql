-- What a person has to know before stopping a session, read afresh.
CREATE OR REPLACE FUNCTION lock_admin.session_facts(p_pid integer)
RETURNS jsonb
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_session record;
  v_prediction jsonb;
  v_locks integer;
  v_exclusive integer;
  v_now timestamptz;
  v_stops record;
  v_kind text;
  v_warnings jsonb := '[]';
BEGIN
  IF current_user <> 'lock_door_owner' THEN PERFORM lock_engine.require_owner('lock_door_owner'); END IF;
  v_prediction := lock_admin.simulate(p_pid);
  PERFORM pg_catalog.pg_stat_clear_snapshot();
  SELECT s.* INTO v_session FROM lock_catalog.sessions AS s WHERE s.pid = p_pid;
  v_now := clock_timestamp();
  IF v_session.pid IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT count(*) FILTER (WHERE l.granted), count(*) FILTER (WHERE l.granted AND l.mode_bit & l.conflict_bits <> 0
           AND l.lock_type NOT IN ('virtualxid', 'transactionid'))
    INTO v_locks, v_exclusive FROM lock_catalog.locks AS l WHERE l.pid = p_pid;
  SELECT count(*) AS stops, max(a.logged_at) AS last_at,
         count(*) FILTER (WHERE EXISTS (
           SELECT 1 FROM lock_admin.action_log AS again
            WHERE again.step = 'request' AND again.target_user = a.target_user
              AND again.target_application = a.target_application
              AND again.target_backend_start > a.logged_at
              AND again.target_backend_start < a.logged_at + interval '1 minute')) AS came_back
    INTO v_stops
    FROM lock_admin.action_log AS a
   WHERE a.step = 'outcome' AND a.outcome IN ('terminated', 'cancelled')
     AND a.target_user = v_session.user_name AND a.target_application = v_session.application_name
     AND a.logged_at > v_now - interval '7 days';

  v_kind := coalesce(v_prediction ->> 'kind', lock_catalog.session_kind(v_session.backend_type, v_session.state, v_session.wait_event_type,
    v_session.wait_event, v_session.query, v_now - v_session.query_start,
    (SELECT max(l.mode_bit) FROM lock_catalog.locks AS l WHERE l.pid = p_pid AND l.granted AND l.lock_type = 'relation'), NULL));
  IF v_session.backend_type LIKE 'walsender%' THEN
    v_warnings := v_warnings || jsonb_build_object('code', 'replication', 'text', 'It serves replication: a standby or subscriber depends on it.');
  END IF;
  IF v_session.application_name ~* '(pg_dump|pg_basebackup|pgbackrest|barman|wal-g|pg_restore|backup)' THEN
    v_warnings := v_warnings || jsonb_build_object('code', 'backup', 'text', format(
      'It calls itself %s: a backup or restore would be broken off.', v_session.application_name));
  END IF;
  IF v_kind = 'concurrent_ddl' THEN
    v_warnings := v_warnings || jsonb_build_object('code', 'ddl', 'text',
      'It runs a statement with CONCURRENTLY, which is not undone: an INVALID index (or a partition half detached) stays.');
  ELSIF v_kind = 'maintenance' THEN
    v_warnings := v_warnings || jsonb_build_object('code', 'ddl', 'text', 'It runs VACUUM or ANALYZE: what it has not finished is done the next time.');
  ELSIF v_kind IN ('running_ddl', 'holds_table_lock') THEN
    v_warnings := v_warnings || jsonb_build_object('code', 'ddl', 'text',
      'It changes or locks a table as a whole' || CASE v_kind WHEN 'holds_table_lock' THEN ' (its locks say so)' ELSE '' END || '; that work is undone.');
  END IF;
  IF v_kind = 'waits_for_standby' THEN
    v_warnings := v_warnings || jsonb_build_object('code', 'committing', 'text',
      'It has committed and waits for its standby: nothing is rolled back, and the standby may lack the commit.');
  ELSIF v_session.state = 'active' AND lock_catalog.statement_class(v_session.query) = 'end' THEN
    v_warnings := v_warnings || jsonb_build_object('code', 'committing', 'text',
      'It is committing right now; wait a moment. Whether the commit succeeds cannot be foretold.');
  ELSIF v_session.backend_xid IS NOT NULL THEN
    v_warnings := v_warnings || jsonb_build_object('code', 'written', 'text', format(
      'Ending its transaction (%s, open since %s) rolls back what it has written, if anything.',
      v_session.backend_xid, to_char(v_session.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ')));
  END IF;
  IF v_kind IN ('client_not_reading', 'client_not_sending') THEN
    v_warnings := v_warnings || jsonb_build_object('code', 'cancel_useless', 'text',
      'Cancelling would do nothing while it waits for its client.');
  END IF;
  IF v_session.state IN ('idle in transaction', 'idle in transaction (aborted)', 'idle') THEN
    v_warnings := v_warnings || jsonb_build_object('code', 'cancel_useless', 'text',
      'Cancelling would do nothing: it is not running a statement.');
  END IF;
  IF v_stops.stops > 0 THEN
    v_warnings := v_warnings || jsonb_build_object('code', 'stopped_before', 'text', format(
      'Sessions of %s as %s were stopped %s times in 7 days, last at %s%s.', v_session.application_name,
      v_session.user_name, v_stops.stops, to_char(v_stops.last_at, 'YYYY-MM-DD HH24:MI:SS TZ'),
      CASE WHEN v_stops.came_back > 0
        THEN format('; %s times a new session of it was in the way again within a minute', v_stops.came_back) ELSE '' END));
  END IF;
  IF (v_prediction ->> 'wait_for_others')::integer > 0 THEN
    v_warnings := v_warnings || jsonb_build_object('code', 'others', 'text', format(
      '%s of those behind it wait for other sessions too and stay blocked.', v_prediction ->> 'wait_for_others'));
  END IF;

  RETURN jsonb_build_object(
    'at', v_now, 'pid', v_session.pid, 'leader_pid', v_session.leader_pid, 'backend_start', v_session.backend_start,
    'xact_start', v_session.xact_start, 'query_start', v_session.query_start, 'state_change', v_session.state_change,
    'state', v_session.state, 'user_name', v_session.user_name, 'is_superuser', v_session.is_superuser,
    'application_name', v_session.application_name, 'database_name', v_session.database_name,
    'client_addr', v_session.client_addr, 'client_hostname', v_session.client_hostname,
    'backend_type', v_session.backend_type, 'backend_xid', v_session.backend_xid, 'query', v_session.query,
    'query_truncated', v_session.query_truncated, 'wait_event_type', v_session.wait_event_type,
    'wait_event', v_session.wait_event, 'kind', v_kind,
    'progress', (SELECT jsonb_strip_nulls(to_jsonb(p)) FROM lock_catalog.progress_of(p_pid) AS p WHERE p.command IS NOT NULL),
    'locks_held', v_locks, 'exclusive_locks_held', v_exclusive,
    'tenant_claim', lock_engine.session_claim(lock_engine.claim_patterns(), v_session.application_name, v_session.user_name,
      v_session.database_name, NULL),
    'refusal_code', lock_admin.refusal_code(v_session.pid, v_session.user_name, v_session.is_superuser,
      v_session.backend_type, v_session.leader_pid, v_session.query, v_session.application_name,
      v_session.database_name, false),
    'warnings', v_warnings, 'prediction', v_prediction);
END
$$;
COMMENT ON FUNCTION lock_admin.session_facts(integer) IS
  'The session as it is now: identity, state, locks, what it has written, warnings, why the door would refuse it, and the '
  'prediction of lock_admin.simulate(). NULL if there is no such session. Changes nothing.';
