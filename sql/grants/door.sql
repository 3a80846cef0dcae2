-- Owners and callers of the door. The log belongs to a role that has no other rights and can itself only read and add.
DO $owners$
DECLARE
    v_relation text;
BEGIN
    FOREACH v_relation IN ARRAY ARRAY['action_log', 'action_id_seq'] LOOP
        IF (SELECT c.relowner FROM pg_catalog.pg_class AS c WHERE c.oid = ('lock_admin.' || v_relation)::regclass)
           <> 'lock_action_log_owner'::regrole THEN
            EXECUTE format('ALTER %s lock_admin.%I OWNER TO lock_action_log_owner',
                           CASE v_relation WHEN 'action_log' THEN 'TABLE' ELSE 'SEQUENCE' END, v_relation);
        END IF;
    END LOOP;
    FOREACH v_relation IN ARRAY ARRAY['action_history', 'policy_overview'] LOOP
        IF (SELECT c.relowner FROM pg_catalog.pg_class AS c WHERE c.oid = ('lock_admin.' || v_relation)::regclass)
           <> 'lock_door_owner'::regrole THEN
            EXECUTE format('ALTER VIEW lock_admin.%I OWNER TO lock_door_owner', v_relation);
        END IF;
    END LOOP;
    IF (SELECT p.proowner FROM pg_catalog.pg_proc AS p WHERE p.oid = 'lock_admin.action_log_is_append_only()'::regprocedure)
       <> 'lock_action_log_owner'::regrole THEN
        ALTER FUNCTION lock_admin.action_log_is_append_only() OWNER TO lock_action_log_owner;
    END IF;
END
$owners$;

REVOKE UPDATE, DELETE, TRUNCATE ON lock_admin.action_log FROM lock_action_log_owner, lock_door_owner, lock_admin_role, lock_monitoring_role;
GRANT SELECT, INSERT ON lock_admin.action_log TO lock_door_owner;
GRANT USAGE ON SEQUENCE lock_admin.action_id_seq TO lock_door_owner;
GRANT SELECT ON lock_admin.action_history, lock_admin.policy_overview TO lock_monitoring_role, lock_vault_owner, lock_alert_sandbox;

GRANT SELECT, INSERT ON lock_admin.policy_h, lock_admin.policy_decision, lock_admin.policy_backtest TO lock_door_owner;
GRANT SELECT, INSERT, UPDATE (load_end_date) ON lock_admin.policy_s, lock_admin.policy_mode_s TO lock_door_owner;
-- SELECT .. FOR UPDATE of the hub, so that two editors follow one another
GRANT UPDATE (record_source) ON lock_admin.policy_h TO lock_door_owner;
GRANT SELECT ON lock_admin.policy_h, lock_admin.policy_s, lock_admin.policy_mode_s, lock_admin.policy_decision,
    lock_admin.policy_backtest TO lock_monitoring_role;

-- Whoever reads may look; a policy was armed by somebody with the right, so that the loop may run it; whoever knocked
-- without the right may have that written down. All else needs lock_admin_role.
GRANT EXECUTE ON FUNCTION lock_admin.simulate(bigint) TO lock_monitoring_role, lock_vault_owner;
GRANT EXECUTE ON FUNCTION lock_admin.rescue_plan(), lock_admin.session_facts(integer), lock_admin.run_policies(), lock_admin.follow_up(),
    lock_admin.record_denied(text, integer, timestamptz, text, text, text) TO lock_monitoring_role;
GRANT EXECUTE ON FUNCTION
    lock_admin.request_action(text, integer, timestamptz, text, timestamptz, boolean, text, text),
    lock_admin.execute_action(bigint),
    lock_admin.resolve_plan(bytea, integer),
    lock_admin.auto_resolve(bytea, integer, boolean),
    lock_admin.save_policy(text, jsonb, text),
    lock_admin.set_policy_mode(text, text, text, text, integer),
    lock_admin.backtest_policy(text, timestamptz, timestamptz, text),
    lock_admin.adopt(text, text),
    lock_admin.disarm(text, text)
    TO lock_admin_role;

GRANT SELECT, INSERT, UPDATE ON lock_admin.denied_count TO lock_door_owner;
GRANT SELECT ON lock_admin.denied_count TO lock_monitoring_role, lock_vault_owner;

-- Whose word for a web login is taken; who installs says it.
GRANT SELECT ON lock_admin.application_login TO lock_door_owner, lock_vault_owner, lock_monitoring_role;

-- Which database does the vault act in? Only lock_admin.adopt() and lock_admin.disarm() write it.
GRANT SELECT, INSERT ON lock_engine.home TO lock_door_owner;
GRANT UPDATE (state) ON monitoring.alert_message TO lock_door_owner;
GRANT SELECT (state) ON monitoring.alert_message TO lock_door_owner;

-- Whose session is it? For policies and resolutions by tenant, and for the back-test.
GRANT SELECT ON lock_engine.tenant_claim, lock_engine.part_state TO lock_door_owner;
REVOKE INSERT, UPDATE ON lock_engine.tenant_claim FROM lock_door_owner;
REVOKE INSERT, UPDATE ON lock_engine.tenant_seen FROM lock_door_owner;
GRANT EXECUTE ON FUNCTION lock_engine.tenant_of(text, text), lock_engine.check_tenant(bytea) TO lock_door_owner;
-- How an episode ended: was it the door?
GRANT SELECT ON lock_admin.action_log TO lock_vault_owner;
