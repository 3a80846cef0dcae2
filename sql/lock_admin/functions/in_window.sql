CREATE OR REPLACE FUNCTION lock_admin.in_window(p_windows jsonb, p_at timestamptz)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (
    SELECT 1
      FROM jsonb_to_recordset(p_windows) AS w(days integer[], "from" time, "to" time, zone text)
      CROSS JOIN LATERAL (
        SELECT p_at AT TIME ZONE coalesce(w.zone, pg_catalog.current_setting('log_timezone')) AS local_time) AS l
      CROSS JOIN LATERAL (
        -- a window over midnight belongs to the day on which it began
        SELECT CASE WHEN coalesce(w."from", '00:00') > coalesce(w."to", '24:00') AND l.local_time::time < w."to"
                    THEN l.local_time - interval '1 day' ELSE l.local_time END AS day) AS d
     WHERE (w.days IS NULL OR extract(isodow FROM d.day)::integer = ANY (w.days))
       AND CASE WHEN coalesce(w."from", '00:00') <= coalesce(w."to", '24:00')
                THEN l.local_time::time >= coalesce(w."from", '00:00') AND l.local_time::time < coalesce(w."to", '24:00')
                ELSE l.local_time::time >= w."from" OR l.local_time::time < w."to" END)
$$;
COMMENT ON FUNCTION lock_admin.in_window(jsonb, timestamptz) IS
  'Is the moment in one of the windows [{"days": [1..7], "from": "22:00", "to": "06:00", "zone": "Europe/Berlin"}]? '
  'Without a zone the server''s (log_timezone, which no session can change).';
