-- One Vault lock monitor, step 7: roles, schemas, tables and indexes.
--
--     psql -d one_vault -f step_7_lock_monitoring.sql
--
-- One transaction: either all of it is there afterwards or nothing has changed. Run it again at any time.
-- `manage.py lockmon_deploy` reads this same list; it understands \set, \pset, \echo, \ir, BEGIN, COMMIT, the setting beside them and
-- comments, no more.
\set ON_ERROR_STOP on
\set QUIET on

SET default_transaction_read_only = off;
BEGIN;
\ir prerequisites/session.sql
\ir prerequisites/check_site.sql
\ir prerequisites/remember_site.sql
\ir prerequisites/check_roles.sql
\ir prerequisites/views_first.sql

\echo 'One Vault lock monitor, step 7: roles and schemas'
\ir prerequisites/roles.sql
\ir prerequisites/schemas.sql
\ir prerequisites/take_owners.sql
\ir prerequisites/check_open_rows.sql
\ir lock_engine/tables/site_object.sql
\ir lock_engine/tables/site_owner.sql
\ir lock_engine/tables/installation.sql
\ir prerequisites/util/current_load_date.sql
\ir prerequisites/util/hash_binary.sql
\ir prerequisites/util/get_record_source.sql
\ir prerequisites/auth/tenant_h.sql
\ir prerequisites/auth/user_h.sql
\ir prerequisites/auth/user_profile_s.sql
\ir prerequisites/replace_published.sql
\ir prerequisites/widen_site_columns.sql

\echo 'One Vault lock monitor, step 7: tables'
\ir lock_monitoring/tables/lock_activity_h.sql
\ir lock_monitoring/tables/blocking_session_h.sql
\ir lock_monitoring/tables/deadlock_event_h.sql
\ir lock_monitoring/tables/lock_wait_analysis_h.sql
\ir lock_monitoring/tables/lock_activity_s.sql
\ir lock_monitoring/tables/blocking_session_s.sql
\ir lock_monitoring/tables/deadlock_event_s.sql
\ir lock_monitoring/tables/lock_wait_analysis_s.sql
\ir lock_monitoring/tables/lock_blocking_l.sql
\ir lock_monitoring/tables/deadlock_involvement_l.sql
\ir prerequisites/deferrable_keys.sql

\echo 'One Vault lock monitor, step 7: indexes'
\ir lock_monitoring/indexes/idx_lock_activity_s_type_mode.sql
\ir lock_monitoring/indexes/idx_lock_activity_s_duration.sql
\ir lock_monitoring/indexes/idx_lock_activity_s_blocking.sql
\ir lock_monitoring/indexes/idx_lock_activity_s_relation.sql
\ir lock_monitoring/indexes/idx_lock_activity_s_timestamp.sql
\ir lock_monitoring/indexes/idx_blocking_session_s_severity.sql
\ir lock_monitoring/indexes/idx_blocking_session_s_duration.sql
\ir lock_monitoring/indexes/idx_blocking_session_s_user.sql
\ir lock_monitoring/indexes/idx_deadlock_event_s_timestamp.sql
\ir lock_monitoring/indexes/idx_deadlock_event_s_frequency.sql
\ir lock_monitoring/indexes/idx_lock_wait_analysis_s_period.sql
\ir lock_monitoring/indexes/idx_lock_wait_analysis_s_efficiency.sql
\ir lock_monitoring/indexes/uq_lock_activity_s_open.sql
\ir lock_monitoring/indexes/uq_lock_activity_s_satellite_id.sql
\ir lock_monitoring/indexes/uq_blocking_session_s_open.sql
\ir lock_monitoring/indexes/uq_blocking_session_s_satellite_id.sql
\ir lock_monitoring/indexes/uq_deadlock_event_s_open.sql
\ir lock_monitoring/indexes/uq_deadlock_event_s_satellite_id.sql
\ir lock_monitoring/indexes/uq_lock_wait_analysis_s_open.sql
\ir lock_monitoring/indexes/uq_lock_wait_analysis_s_satellite_id.sql
\ir lock_monitoring/indexes/idx_lock_activity_s_waits.sql
\ir lock_monitoring/indexes/idx_lock_activity_s_load_date.sql
\ir lock_monitoring/indexes/idx_blocking_session_s_load_date.sql
\ir lock_monitoring/indexes/idx_lock_activity_s_long.sql
\ir lock_monitoring/indexes/idx_blocking_session_s_long.sql
\ir lock_monitoring/indexes/idx_lock_blocking_l_blocking_session_hk.sql
\ir lock_monitoring/indexes/idx_lock_blocking_l_lock_activity_hk.sql
\ir lock_monitoring/indexes/idx_deadlock_involvement_l_deadlock_event_hk.sql
\ir lock_monitoring/indexes/idx_deadlock_involvement_l_lock_activity_hk.sql
\pset tuples_only on
\ir prerequisites/leave_owners.sql
\pset tuples_only off

COMMIT;
RESET default_transaction_read_only;
\echo 'One Vault lock monitor, step 7: done. Next: step_8_blocking_detection.sql'
