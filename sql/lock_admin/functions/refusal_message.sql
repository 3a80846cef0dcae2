-- Every reason for which the door does not signal, in one place: code -> sentence.
CREATE OR REPLACE FUNCTION lock_admin.refusal_message(p_code text, p_pid integer, p_detail text DEFAULT NULL)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN p_code = 'already_gone' THEN format('Pid %s has already ended. Nothing was signalled.', p_pid)
         ELSE 'Not stopped: ' || CASE p_code
    WHEN 'door_closed' THEN 'the door is closed (setting door.enabled is false).'
    WHEN 'disarmed' THEN 'this vault is a copy or was disarmed, and only persons act here, each session by itself '
      '(SELECT lock_engine.disarmed_because() says why and what to do).'
    WHEN 'reason_missing' THEN 'a reason is needed.'
    WHEN 'unknown_action' THEN 'the action has to be cancel or terminate.'
    WHEN 'identity_missing' THEN 'a session is named by its pid and its backend_start; one of them is missing.'
    WHEN 'unknown_request' THEN 'there is no such request.'
    WHEN 'request_refused' THEN 'the request was refused when it was made.'
    WHEN 'request_not_committed' THEN 'the request has to be committed before it is carried out.'
    WHEN 'request_expired' THEN 'the request is too old; look at the session again and make a new one.'
    WHEN 'already_executed' THEN 'this request has been carried out already, or is being carried out.'
    WHEN 'not_read_committed' THEN 'the door works in READ COMMITTED transactions only, because others show it old data: '
      'type SET default_transaction_isolation = ''read committed''; and ask again in a new transaction.'
    WHEN 'rate_limit' THEN 'the door has sent as many signals in the last hour as setting door.max_per_hour allows.'
    WHEN 'own_session' THEN format('pid %s is the session that asks.', p_pid)
    WHEN 'own_monitor' THEN format('pid %s belongs to the lock monitor itself.', p_pid)
    WHEN 'superuser' THEN format('pid %s is a superuser''s session.', p_pid)
    WHEN 'replication' THEN format('pid %s serves replication.', p_pid)
    WHEN 'wraparound_autovacuum' THEN format('pid %s is an autovacuum that prevents transaction id wraparound.', p_pid)
    WHEN 'parallel_worker' THEN format('pid %s is a parallel worker; stop its leader.', p_pid)
    WHEN 'not_client_backend' THEN format('pid %s is not a client''s session.', p_pid)
    WHEN 'unknown_user' THEN format('the user of pid %s cannot be seen.', p_pid)
    WHEN 'protected_role' THEN format('the user of pid %s is protected (setting door.protected_users).', p_pid)
    WHEN 'protected_application' THEN
      format('pid %s is a protected application (setting door.protected_applications).', p_pid)
    WHEN 'prepared_transaction' THEN 'a prepared transaction has no session; ROLLBACK PREPARED or COMMIT PREPARED ends it.'
    WHEN 'other_session' THEN format('pid %s now belongs to another session. Nothing was signalled.', p_pid)
    WHEN 'other_transaction' THEN format('pid %s is no longer in the transaction that was meant. Nothing was signalled.', p_pid)
    WHEN 'other_statement' THEN format('pid %s no longer runs the statement that was meant. Nothing was signalled.', p_pid)
    WHEN 'nothing_to_cancel' THEN
      format('pid %s is not running a statement, so that cancelling does nothing; only terminating it would.', p_pid)
    WHEN 'no_longer_blocks' THEN format('pid %s blocks nobody now. Nothing was signalled.', p_pid)
    WHEN 'not_root' THEN format('pid %s waits itself now; only roots are stopped without a person.', p_pid)
    WHEN 'kind_not_automatic' THEN format('only a person stops what pid %s is now (see lock_engine.blocker_kinds()).', p_pid)
    WHEN 'condition_over' THEN format('those who had waited behind pid %s for long wait no more.', p_pid)
    WHEN 'policy_not_armed' THEN 'the policy is no longer armed, or its rules have changed since.'
    WHEN 'policy_limit' THEN 'the policy has stopped as many sessions in the last hour as it may.'
    WHEN 'no_right' THEN 'this needs lock_admin_role.'
    WHEN 'not_permitted' THEN 'PostgreSQL does not permit the door''s owner to signal this session.'
    ELSE p_code || '.'
  END END || coalesce(' ' || p_detail, '')
$$;
COMMENT ON FUNCTION lock_admin.refusal_message(text, integer, text) IS
  'The sentence for a refusal code of the door. The list of codes is this function.';
