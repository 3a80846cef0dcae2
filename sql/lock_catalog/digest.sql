-- One number over everything a cycle would look at. Equal to the last cycle's: nothing has changed, nothing is stored.
-- One read of the sessions, one of the locks, no sorting, no text. While somebody waits every session counts, because
-- the holders of a contended lock may be young; else only transactions older than p_min_age.
-- Versions: hash_record_extended() exists from PostgreSQL 14 on; on 13 the text form is hashed.
DO $install$
DECLARE
  v_modern boolean := pg_catalog.current_setting('server_version_num')::integer >= 140000;
  v_session text := 'ROW(x.pid, x.backend_start, x.xact_start, x.query_start, x.state, x.application_name)';
BEGIN
  EXECUTE pg_catalog.format($create$
    CREATE OR REPLACE FUNCTION lock_catalog.digest(
      p_min_age interval, p_everything boolean, p_own_pids integer[],
      OUT digest numeric, OUT waiting integer, OUT locks integer)
    LANGUAGE plpgsql
    VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
    SET plan_cache_mode = force_generic_plan
    AS $body$
    #variable_conflict use_column
    BEGIN
      WITH a AS MATERIALIZED (
        SELECT x.pid, coalesce(x.xact_start, x.backend_start) < clock_timestamp() - p_min_age AS old,
               CASE WHEN x.state <> 'idle' THEN %1$s END AS session_hash
          FROM pg_stat_get_activity(NULL) x
         WHERE x.pid <> ALL (p_own_pids)),
      s AS (
        SELECT coalesce(sum(a.session_hash), 0) AS hash, coalesce(sum(a.session_hash) FILTER (WHERE a.old), 0) AS old_hash
          FROM a),
      -- by session first, so that the locks, which are many, are gone through once and in the simplest way
      k AS MATERIALIZED (
        SELECT x.pid, sum(x.row_hash) AS hash, count(*) AS locks,
               -- asked of the locks: a waiter that wakes for its deadlock check shows no wait event for a moment
               count(*) FILTER (WHERE NOT x.granted) AS waiting
          FROM lock_catalog.locks x
         GROUP BY x.pid),
      l AS (
        SELECT coalesce(sum(k.hash), 0) AS hash, coalesce(sum(k.locks), 0)::integer AS locks,
               coalesce(sum(k.hash) FILTER (WHERE a.old OR k.pid IS NULL), 0) AS old_hash,
               coalesce(sum(k.locks) FILTER (WHERE a.old OR k.pid IS NULL), 0)::integer AS old_locks,
               coalesce(sum(k.waiting), 0)::integer AS waiting
          FROM k LEFT JOIN a ON a.pid = k.pid
         WHERE k.pid IS NULL OR a.pid IS NOT NULL)
      SELECT CASE WHEN p_everything OR l.waiting > 0 THEN s.hash + l.hash ELSE s.old_hash + l.old_hash END, l.waiting,
             CASE WHEN p_everything OR l.waiting > 0 THEN l.locks ELSE l.old_locks END
        INTO digest, waiting, locks FROM s, l;
    END
    $body$
  $create$,
  CASE WHEN v_modern THEN 'hash_record_extended(' || v_session || ', 0)'
       ELSE 'hashtextextended(' || v_session || '::text, 0)' END);
END
$install$;
COMMENT ON FUNCTION lock_catalog.digest(interval, boolean, integer[]) IS
  'A number that changes when what a cycle would store changes; sessions waiting for a lock; locks looked at.';
