-- Does an interval touch a weekly window such as {"days": [1,2,3,4,5], "from": "08:00", "to": "18:00", "zone": "Europe/Berlin"}?
-- Without a zone the server's counts, which no session, role or database can change.
CREATE OR REPLACE FUNCTION lock_engine.within_hours(p_hours jsonb, p_start timestamptz, p_end timestamptz)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN jsonb_typeof(p_hours) = 'object' THEN EXISTS (
    SELECT 1
      FROM (SELECT coalesce(p_hours ->> 'zone', current_setting('log_timezone')) AS name) AS z
     CROSS JOIN LATERAL generate_series(
             date_trunc('day', p_start AT TIME ZONE z.name), p_end AT TIME ZONE z.name, interval '1 day') AS d(day)
     WHERE p_hours -> 'days' @> to_jsonb(extract(isodow FROM d.day)::integer)
       AND p_start < (d.day + (p_hours ->> 'to')::time) AT TIME ZONE z.name
       AND p_end > (d.day + (p_hours ->> 'from')::time) AT TIME ZONE z.name) END
$$;
COMMENT ON FUNCTION lock_engine.within_hours(jsonb, timestamptz, timestamptz) IS
  'true if the interval touches the weekly window, in its zone or the server''s (log_timezone); NULL if no window is set.';
