-- What no part may catch: a person's cancel and a timeout, a shutdown, memory or disk at an end, a lock that the cycle has its
-- own rule for, a deadlock, and a transaction in which nothing can be written. plpgsql's OTHERS leaves out only the cancel.
CREATE OR REPLACE FUNCTION lock_engine.ends_all(p_sqlstate text, p_lock_ends boolean DEFAULT true)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT p_sqlstate ~ '^(53...|57...|58...|25...|40...)$' OR (p_lock_ends AND p_sqlstate = '55P03')
$$;
COMMENT ON FUNCTION lock_engine.ends_all(text, boolean) IS
  'Does an error with this SQLSTATE end the whole run, instead of the one part that met it? p_lock_ends: so does a lock in the way '
  '(55P03), for which a cycle has its own rule.';
