-- How many of the policy's latest stops in a row did not help: the session stayed, nobody of those predicted was freed, or
-- the same application and user was in the way again within the breaker's minutes.
CREATE OR REPLACE FUNCTION lock_admin.policy_failures(
  p_policy_hk bytea, p_since timestamptz, p_minutes integer, p_user text, p_application text)
RETURNS integer
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  WITH acted AS (
    SELECT a.action_id, a.logged_at, a.target_user, a.target_application, a.outcome, a.comparison,
           row_number() OVER (ORDER BY a.log_id DESC) AS place
      FROM lock_admin.action_log AS a
     WHERE a.policy_hk = p_policy_hk AND a.logged_at >= p_since
       AND (a.step = 'outcome' OR (a.step = 'refusal' AND a.outcome = 'not permitted'))),
  judged AS (
    SELECT d.place,
           d.outcome IN ('still there', 'not permitted')
           OR ((d.comparison ->> 'predicted')::integer > 0 AND (d.comparison ->> 'freed')::integer = 0)
           OR (d.target_user = p_user AND d.target_application = p_application
               AND d.logged_at > clock_timestamp() - make_interval(mins => p_minutes))
           OR EXISTS (SELECT 1 FROM lock_admin.action_log AS n
                       WHERE n.policy_hk = p_policy_hk AND n.step = 'request' AND n.logged_at > d.logged_at
                         AND n.logged_at < d.logged_at + make_interval(mins => p_minutes)
                         AND n.target_user = d.target_user AND n.target_application = d.target_application) AS failed
      FROM acted AS d)
  SELECT (coalesce((SELECT min(j.place) FROM judged AS j WHERE NOT coalesce(j.failed, false)),
                   (SELECT count(*) + 1 FROM judged AS j)) - 1)::integer
$$;
COMMENT ON FUNCTION lock_admin.policy_failures(bytea, timestamptz, integer, text, text) IS
  'Internal: length of the present run of stops that did not help; the user and application are those in the way now.';
