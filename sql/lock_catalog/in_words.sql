CREATE OR REPLACE FUNCTION lock_catalog.in_words(p_length interval)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN s.whole < 60 THEN format('%s s', s.whole)
              WHEN s.whole < 3600 THEN format('%s min %s s', s.whole / 60, to_char(s.whole % 60, 'FM00'))
              WHEN s.whole < 86400 THEN format('%s h %s min', s.whole / 3600, s.whole % 3600 / 60)
              ELSE format('%s d %s h', s.whole / 86400, s.whole % 86400 / 3600) END
    FROM (SELECT greatest(floor(extract(epoch FROM p_length)), 0)::bigint AS whole) AS s
   WHERE p_length IS NOT NULL
$$;
COMMENT ON FUNCTION lock_catalog.in_words(interval) IS
  'A length of time as pages and commands say it: 12 s, 6 min 12 s, 2 h 14 min, 3 d 4 h. NULL for NULL.';
