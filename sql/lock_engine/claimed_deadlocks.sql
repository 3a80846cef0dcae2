-- Deadlocks that the log only claims: they are in no sum, alert, policy or ledger, and are shown as what they are.
CREATE OR REPLACE FUNCTION lock_engine.claimed_deadlocks(p_from timestamptz, p_to timestamptz, p_limit integer DEFAULT 100)
RETURNS TABLE (event_id bigint, logged_at timestamptz, pid integer, other_pids integer[], user_name text, database_name text,
               application_name text, client text, caught boolean, waits_for_proof boolean, why text, statement text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT e.event_id, e.logged_at, e.pid,
         ARRAY(SELECT (x ->> 'pid')::integer FROM jsonb_array_elements(coalesce(e.detail -> 'edges', '[]')) x WHERE (x ->> 'pid')::integer <> e.pid
               UNION SELECT h::integer FROM jsonb_array_elements_text(coalesce(e.detail -> 'holders', '[]')) h WHERE h ~ '^\d{1,9}$' AND h::integer <> e.pid),
         e.user_name, e.database_name, e.application_name, e.client, e.kind = 'deadlock_wait', NOT e.handled,
         CASE WHEN lock_log.written_by_users(e.context)
                THEN 'A user''s statement wrote it: its context has RAISE, another procedural language or another server.'
              WHEN e.source LIKE 'file:%'
                THEN 'It stands in an imported file without codes (stderr), and nothing of this server proves it. Import that server''s csvlog or jsonlog.'
              WHEN NOT e.handled
                THEN 'In stderr whoever may run statements can write the same. It waits for its proof: the counter of its database moves when the victim''s transaction ends.'
              ELSE 'In stderr whoever may run statements can write the same, and neither a look nor the counter of its database has proved it. '
                   'ALTER SYSTEM SET log_destination = ''stderr,csvlog''; SELECT pg_reload_conf(); what csvlog has proves itself.' END,
         e.statement
    FROM lock_log.event e
   WHERE e.standing = 'claimed' AND e.deadlock_event_hk IS NULL AND e.kind IN ('deadlock', 'deadlock_wait')
     AND e.logged_at >= p_from AND e.logged_at < p_to
     AND (e.kind = 'deadlock' OR NOT lock_engine.is_answered(e))
   ORDER BY e.logged_at DESC, e.event_id DESC LIMIT p_limit
$$;
COMMENT ON FUNCTION lock_engine.claimed_deadlocks(timestamptz, timestamptz, integer) IS
  'The latest deadlocks of a period that the log only claims, why only claimed, and what would prove them. caught: the wait alone is logged.';
