-- A clock that was set back must not end a version before it begins.
CREATE OR REPLACE FUNCTION lock_admin.next_moment(p_policy_hk bytea)
RETURNS timestamptz
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT greatest(clock_timestamp(),
           (SELECT max(p.load_date) + interval '1 microsecond' FROM lock_admin.policy_s AS p WHERE p.policy_hk = p_policy_hk),
           (SELECT max(m.load_date) + interval '1 microsecond' FROM lock_admin.policy_mode_s AS m WHERE m.policy_hk = p_policy_hk))
$$;
COMMENT ON FUNCTION lock_admin.next_moment(bytea) IS
  'Internal: now, or just after the latest version of a policy where the clock has been set back since.';
