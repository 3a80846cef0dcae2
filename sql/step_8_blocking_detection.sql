-- One Vault lock monitor, step 8: functions, dashboards, settings, alerts, the door and the grants.
--
--     psql -d one_vault -f step_8_blocking_detection.sql
--
-- One transaction: either all of it is there afterwards or nothing has changed. Run it again at any time.
-- `manage.py lockmon_deploy` reads this same list; it understands \set, \pset, \echo, \ir, BEGIN, COMMIT, the setting beside them and
-- comments, no more.
\set ON_ERROR_STOP on
\set QUIET on

SET default_transaction_read_only = off;
BEGIN;
\ir prerequisites/session.sql
\ir prerequisites/check_step_7.sql
\ir prerequisites/take_owners.sql
\ir prerequisites/expected.sql
\ir prerequisites/check_names.sql
\ir prerequisites/remember_text.sql
\ir prerequisites/drop_outdated.sql

\echo 'One Vault lock monitor, step 8: settings'
\ir lock_engine/require_owner.sql
\ir lock_engine/require_watcher.sql
\ir lock_admin/tables/setting.sql
\ir lock_admin/tables/setting_history.sql
\ir lock_admin/functions/setting_fault.sql
\ir lock_admin/functions/record_setting_change.sql
\ir lock_admin/functions/setting.sql
\ir lock_engine/require_writable.sql
\ir lock_admin/seed/unusable.sql
\ir lock_admin/seed/core.sql
\ir lock_admin/seed/alerts.sql
\ir lock_admin/seed/retention.sql

\echo 'One Vault lock monitor, step 8: reading locks and sessions'
\ir lock_catalog/code_point.sql
\ir lock_catalog/bytes_of.sql
\ir lock_catalog/is_readable.sql
\ir lock_catalog/readable_bytes.sql
\ir lock_catalog/readable.sql
\ir lock_catalog/all_readable.sql
\ir lock_catalog/own_logins.sql
\ir lock_catalog/pids_of.sql
\ir lock_catalog/own_pids.sql
\ir lock_catalog/sessions.sql
\ir lock_catalog/alive.sql
\ir lock_catalog/locks.sql
\ir lock_catalog/monitor_locks.sql
\ir lock_catalog/object_name.sql
\ir lock_catalog/digest.sql
\ir lock_engine/severity.sql
\ir lock_engine/severity_rank.sql
\ir lock_engine/hide_literals.sql
\ir lock_engine/query_fingerprint.sql
\ir lock_engine/recommended_action.sql
\ir lock_catalog/waits_for.sql
\ir lock_catalog/graph.sql
\ir lock_catalog/add_up.sql
\ir lock_catalog/graph_of_groups.sql
\ir lock_catalog/graph_of.sql

\echo 'One Vault lock monitor, step 8: writing the vault'
\ir lock_admin/seed/analysis.sql
\ir lock_engine/tables/cycle_state.sql
\ir lock_engine/tables/tenant_claim.sql
\ir lock_engine/tables/tenant_wanted.sql
\ir lock_engine/tables/part_state.sql
\ir lock_engine/ends_all.sql
\ir lock_engine/failure_in_words.sql
\ir lock_engine/part_failed.sql
\ir lock_engine/part_ok.sql
\ir lock_engine/tables/tenant_seen.sql
\ir lock_engine/tables/aside.sql
\ir lock_engine/tables/aside_tenant.sql
\ir lock_engine/coverage.sql
\ir lock_engine/coverage_gap.sql
\ir lock_engine/heartbeat.sql
\ir lock_engine/tables/watch_state.sql
\ir lock_engine/tables/watch_forgotten.sql
\ir lock_engine/watch_bounds.sql
\ir lock_engine/unwatched_spans.sql
\ir lock_engine/watched_spans.sql
\ir lock_engine/watched_share.sql
\ir lock_engine/watched_at.sql
\ir lock_engine/gap_steps.sql
\ir lock_engine/watched_seconds.sql
\ir lock_engine/seen_until.sql
\ir lock_engine/free_of_gaps.sql
\ir lock_engine/record_look.sql
\ir lock_engine/note_look.sql
\ir lock_engine/begin_watching.sql
\ir lock_engine/name_gap.sql
\ir lock_engine/record_coverage_gap.sql
\ir lock_engine/system_tenant.sql
\ir lock_engine/is_compiled.sql
\ir lock_engine/site_table.sql
\ir lock_engine/site_fault.sql
\ir lock_engine/key_tables.sql
\ir lock_engine/plain_tenants.sql
\ir lock_engine/read_site.sql
\ir lock_engine/session_locks.sql
\ir lock_engine/put_back.sql
\ir lock_engine/note_answers.sql
\ir lock_engine/names_due.sql
\ir lock_engine/ask_due.sql
\ir lock_engine/ask_site.sql
\ir lock_engine/tenant_of.sql
\ir lock_engine/tenant_names.sql
\ir lock_engine/key_names.sql
\ir lock_engine/defer_keys.sql
\ir lock_engine/unplaced_since.sql
\ir lock_engine/check_keys.sql
\ir lock_engine/tenants_locked.sql
\ir lock_engine/tenant_state.sql
\ir lock_engine/ask_tenants.sql
\ir lock_engine/has_place_aside.sql
\ir lock_engine/shift_rows.sql
\ir lock_engine/join_aside.sql
\ir lock_engine/say_unseen.sql
\ir lock_engine/new_tenants.sql
\ir lock_engine/note_aside.sql
\ir lock_engine/set_aside.sql
\ir lock_engine/follow_hubs.sql
\ir lock_engine/move_back.sql
\ir lock_engine/find_tenants.sql
\ir lock_engine/ask_site_here.sql
\ir lock_engine/forget_tenant.sql
\ir lock_engine/place_around.sql
\ir lock_engine/place_rows.sql
\ir lock_engine/store_analysis_hub.sql
\ir lock_engine/knows_tenant.sql
\ir lock_engine/check_tenant.sql
\ir lock_engine/duration_steps.sql
\ir lock_engine/store_locks.sql
\ir lock_engine/store_sessions.sql
\ir lock_engine/store_kept.sql
\ir lock_engine/store_links.sql
\ir lock_engine/records_of.sql
\ir lock_engine/store_part.sql
\ir lock_engine/store_apart.sql
\ir lock_engine/locks_apart.sql
\ir lock_engine/episodes_apart.sql
\ir lock_engine/store_again.sql
\ir lock_engine/store_look.sql
\ir lock_catalog/look.sql
\ir lock_engine/run_cycle.sql
\ir lock_engine/store_seen.sql
\ir lock_engine/tenant_figures.sql
\ir lock_engine/within_hours.sql
\ir lock_engine/waits_itself.sql
\ir lock_engine/waits_for_object.sql
\ir lock_engine/waits_between.sql
\ir lock_engine/tables/wait_rollup.sql
\ir lock_engine/unroll_waits.sql
\ir lock_engine/losses.sql
\ir lock_engine/roll_up_waits.sql
\ir lock_engine/losses_between.sql
\ir lock_engine/waiting_by_hour.sql
\ir lock_engine/sample_statements.sql

\ir lock_catalog/waiting_by_activity.sql
\ir lock_catalog/waiting_by_locks.sql
\ir lock_engine/record_heartbeat.sql
\ir lock_engine/record_coverage.sql
\ir lock_engine/forget_coverage.sql
\ir lock_engine/transaction_counters.sql
\ir lock_engine/cycle_blockers.sql
\ir lock_engine/cycle_blocker_named.sql
\ir lock_engine/monitor_named.sql
\ir lock_engine/skipped_by_lock.sql
\ir lock_engine/monitor_status.sql

\echo 'One Vault lock monitor, step 8: deadlocks and the server log'
\ir lock_catalog/transaction_status.sql
\ir lock_catalog/remembered_waits.sql
\ir lock_catalog/deadlock_members.sql
\ir lock_catalog/deadlock_cycles.sql
\ir lock_log/tables/state.sql
\ir lock_log/tables/source.sql
\ir lock_log/tables/event.sql
\ir lock_log/name_pattern.sql
\ir lock_log/reader_rights.sql
\ir lock_log/server_file.sql
\ir lock_log/read_server_file.sql
\ir lock_log/later_files.sql
\ir lock_log/installed_since.sql
\ir lock_log/prefix_pattern.sql
\ir lock_log/parse_time.sql
\ir lock_log/parse_object.sql
\ir lock_log/parse_deadlock.sql
\ir lock_log/parse_record.sql
\ir lock_log/wait_words.sql
\ir lock_log/wait_kind.sql
\ir lock_log/wait_detail.sql
\ir lock_log/classify.sql
\ir lock_log/split.sql
\ir lock_log/readable_record.sql
\ir lock_log/take_common.sql
\ir lock_log/take.sql
\ir lock_log/missing_rights.sql
\ir lock_log/set_unreadable.sql
\ir lock_log/first_position.sql
\ir lock_log/read_server_log.sql
\ir lock_log/status.sql
\ir lock_log/ingest.sql
\ir lock_log/resume_position.sql
\ir lock_log/lock_timeouts_between.sql
\ir lock_engine/tables/deadlock_observation.sql
\ir lock_engine/tables/deadlock_counter.sql
\ir lock_engine/tables/deadlock_ledger.sql
\ir lock_engine/tables/deadlock_capture.sql
\ir lock_engine/statement_table.sql
\ir lock_engine/unindexed_foreign_key.sql
\ir lock_engine/deadlock_suggestion.sql
\ir lock_engine/deadlock_pattern.sql
\ir lock_engine/deadlock_evidence.sql
\ir lock_engine/deadlock_victim.sql
\ir lock_engine/count_deadlocks.sql
\ir lock_engine/settle_ledger.sql
\ir lock_engine/deadlock_ledger_summary.sql
\ir lock_engine/store_deadlock.sql
\ir lock_engine/logged_participants.sql
\ir lock_engine/merged_participants.sql
\ir lock_engine/try_apart.sql
\ir lock_engine/store_logged_deadlock.sql
\ir lock_engine/store_logged_deadlocks.sql
\ir lock_engine/settle_deadlock.sql
\ir lock_engine/settle_deadlocks.sql
\ir lock_engine/look_for_deadlocks.sql
\ir lock_engine/collect_deadlocks.sql
\ir lock_log/grants.sql

\echo 'One Vault lock monitor, step 8: retention'
\ir lock_engine/tables/retention_state.sql
\ir lock_engine/living_sessions.sql
\ir lock_engine/delete_empty_hubs.sql
\ir lock_engine/delete_expired.sql
\ir lock_engine/forget_aside.sql
\ir lock_engine/sweep_hubs.sql
\ir lock_engine/forget_records.sql
\ir lock_engine/retention_begins.sql
\ir lock_engine/add_counts.sql
\ir lock_engine/delete_batch.sql
\ir lock_engine/cleanup_report.sql
\ir lock_engine/clean_up.sql

\echo 'One Vault lock monitor, step 8: published functions and dashboards'
\ir lock_monitoring/functions/capture_lock_activity.sql
\ir lock_monitoring/functions/run_lock_monitoring.sql
\ir lock_monitoring/functions/detect_blocking_sessions.sql
\ir lock_monitoring/functions/detect_deadlocks.sql
\ir lock_monitoring/functions/analyze_lock_waits.sql
\ir lock_monitoring/functions/cleanup_old_data.sql

\ir lock_monitoring/views/lock_activity_dashboard.sql
\ir lock_monitoring/views/blocking_sessions_dashboard.sql
\ir lock_monitoring/views/lock_wait_analysis_dashboard.sql
\ir lock_monitoring/views/deadlock_events_dashboard.sql
\ir lock_monitoring/views/deadlock_history.sql
\ir lock_monitoring/views/deadlock_patterns.sql
\ir lock_monitoring/views/deadlock_ledger.sql

\echo 'One Vault lock monitor, step 8: the door and its action log'
\ir lock_catalog/blocks_any.sql
\ir lock_engine/tables/home.sql
\ir lock_engine/this_database.sql
\ir lock_engine/disarmed_because.sql
\ir lock_admin/seed/home.sql
\ir lock_admin/seed/door.sql
\ir lock_admin/tables/action_log.sql
\ir lock_admin/tables/denied_count.sql
\ir lock_admin/tables/policy_h.sql
\ir lock_admin/tables/policy_s.sql
\ir lock_admin/tables/policy_mode_s.sql
\ir lock_admin/tables/policy_decision.sql
\ir lock_admin/tables/policy_backtest.sql
\ir lock_admin/tables/application_login.sql
\ir lock_admin/functions/person.sql
\ir lock_admin/functions/person_name.sql
\ir lock_admin/functions/people_who_may_arm.sql
\ir lock_admin/functions/action_log_is_append_only.sql
\ir lock_admin/functions/refusal_message.sql
\ir lock_admin/functions/name_matches.sql
\ir lock_admin/functions/is_protected_application.sql
\ir lock_admin/functions/refusal_code.sql
\ir lock_admin/functions/signals_in_last_hour.sql
\ir lock_admin/seed/changed_policies.sql
\ir lock_admin/seed/claimed_names.sql
\ir lock_admin/functions/in_window.sql
\ir lock_admin/functions/policy_may_act.sql
\ir lock_admin/functions/simulate.sql
\ir lock_admin/functions/session_facts.sql
\ir lock_admin/functions/compare_prediction.sql
\ir lock_admin/functions/record_refusal.sql
\ir lock_admin/functions/record_denied.sql
\ir lock_admin/functions/refusal_now.sql
\ir lock_admin/functions/await_outcome.sql
\ir lock_admin/functions/signal_session.sql
\ir lock_admin/functions/follow_up.sql
\ir lock_admin/functions/file_request.sql
\ir lock_admin/functions/request_action.sql
\ir lock_admin/functions/execute_action.sql
\ir lock_admin/functions/resolve_plan.sql
\ir lock_admin/functions/auto_resolve.sql
\ir lock_monitoring/functions/auto_resolve_blocking.sql
\ir lock_admin/functions/policy_spares.sql
\ir lock_admin/functions/check_policy_rules.sql
\ir lock_admin/functions/next_moment.sql
\ir lock_admin/functions/save_policy.sql
\ir lock_admin/functions/set_policy_mode.sql
\ir lock_admin/functions/policy_failures.sql
\ir lock_admin/functions/trip_breaker.sql
\ir lock_admin/functions/decide_policies.sql
\ir lock_admin/functions/run_policies.sql
\ir lock_admin/functions/backtest_policy.sql
\ir lock_admin/functions/adopt.sql
\ir lock_admin/functions/disarm.sql
\ir lock_admin/views/action_history.sql
\ir lock_admin/views/policy_overview.sql

\echo 'One Vault lock monitor, step 8: alerts'
\ir monitoring/tables/alert_configuration_h.sql
\ir monitoring/tables/alert_configuration_s.sql
\ir monitoring/indexes/uq_alert_configuration_s_open.sql
\ir monitoring/indexes/uq_alert_configuration_s_satellite_id.sql
\ir monitoring/functions/version_alert_configuration.sql
\ir monitoring/tables/alert_event_h.sql
\ir monitoring/tables/alert_event_s.sql
\ir monitoring/tables/alert_state.sql
\ir monitoring/tables/alert_message.sql
\ir monitoring/tables/alert_delivery.sql
\ir monitoring/tables/alert_channel.sql
\ir monitoring/functions/evaluate_alert_query.sql
\ir monitoring/functions/save_alert_configuration.sql
\ir monitoring/functions/write_alert_event.sql
\ir monitoring/functions/act_on_alert_event.sql
\ir monitoring/functions/store_alert_states.sql
\ir monitoring/functions/add_alert_message.sql
\ir monitoring/functions/merge_held_alert_messages.sql
\ir monitoring/functions/claim_alert_message.sql
\ir monitoring/functions/finish_alert_message.sql
\ir monitoring/functions/mirror_alert_events.sql
\ir monitoring/functions/forget_alerts.sql
\ir monitoring/views/alert_overview.sql
\ir monitoring/views/alert_configuration_history.sql
\ir monitoring/views/alert_event_list.sql
\ir monitoring/views/alert_event_history.sql
\ir monitoring/views/alert_message_list.sql
\ir monitoring/views/alert_outbox.sql
\ir monitoring/views/convoy_forecast.sql
\ir monitoring/views/alert_facts.sql

\echo 'One Vault lock monitor, step 8: owners and grants'
\ir lock_engine/catalog_hash.sql
\ir grants/schemas.sql
\ir grants/functions.sql
\ir grants/views.sql
\ir grants/lock_monitoring.sql
\ir grants/lock_engine.sql
\ir grants/lock_admin.sql
\ir grants/monitoring.sql
\ir grants/door.sql
\ir grants/alert_sandbox.sql
\ir grants/session_settings.sql
\ir monitoring/seed/default_alerts.sql
\ir prerequisites/readable_rows.sql
\ir prerequisites/system_tenant.sql
\ir prerequisites/read_tenants.sql
\ir prerequisites/restore_site_grants.sql
\pset tuples_only on
\ir prerequisites/leave_owners.sql
\pset tuples_only off
\ir prerequisites/record_installation.sql

COMMIT;
RESET default_transaction_read_only;
\echo 'One Vault lock monitor, step 8: done.'
