-- Does an interval touch a weekly window such as {"days": [1,2,3,4,5], "from": "08:00", "to": "18:00"}?
CREATE OR REPLACE FUNCTION lock_engine.within_hours(p_hours jsonb, p_start timestamptz, p_end timestamptz)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN jsonb_typeof(p_hours) = 'object' THEN EXISTS (
    SELECT 1 FROM generate_series(date_trunc('day', p_start), p_end, interval '1 day') AS d(day)
     WHERE p_hours -> 'days' @> to_jsonb(extract(isodow FROM d.day)::integer)
       AND p_start < d.day + (p_hours ->> 'to')::time AND p_end > d.day + (p_hours ->> 'from')::time) END
$$;
COMMENT ON FUNCTION lock_engine.within_hours(jsonb, timestamptz, timestamptz) IS
  'true if the interval touches the weekly window, in the server''s time zone; NULL if no window is set.';
