-- Between which moments it is known whether somebody watched. A last look that is not overdue yet reaches until now.
CREATE OR REPLACE FUNCTION lock_engine.watch_bounds(
  p_now timestamptz, OUT known_from timestamptz, OUT known_until timestamptz, OUT forgotten boolean)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(greatest(w.first_look_at, f.forgotten_until), 'infinity'),
         CASE WHEN p_now <= w.last_look_at + CASE WHEN w.by_loop THEN w.patience ELSE make_interval(
                secs => (lock_admin.setting('watch.max_look_spacing_seconds') #>> '{}')::double precision) END
              THEN p_now ELSE coalesce(w.last_look_at, '-infinity') END,
         coalesce(f.forgotten_until > w.first_look_at, false)
    FROM (SELECT 1) one LEFT JOIN lock_engine.watch_state w ON w.watch_state_id = 1
    LEFT JOIN lock_engine.watch_forgotten f ON f.watch_forgotten_id = 1
$$;
COMMENT ON FUNCTION lock_engine.watch_bounds(timestamptz) IS
  'The first and the last moment that may have been watched (infinity and -infinity if there was no look), and whether more was known '
  'once; lock_engine.coverage_gap has the gaps between them.';
