-- A log's time stamp ("2026-11-22 03:12:41.123 CET"). Of abbreviations many are several zones' (IST, CST, PST), so the zone decides,
-- and the abbreviation only which of two times the hour is that a change of clocks repeats. One that the zone does not have
-- at that moment shows that the file was written in another: then the moment is not known.
CREATE OR REPLACE FUNCTION lock_log.parse_time(p_text text, p_time_zone text)
RETURNS timestamptz
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, YMD'
SET timezone = 'UTC'
AS $$
DECLARE
  v_zone text := coalesce(p_time_zone, 'UTC');
  v_local timestamp;
  v_word text := upper(substring(p_text FROM '^\S+ \S+ (\S+)$'));
  v_shift interval;
  v_moment timestamptz;
BEGIN
  IF p_text ~ '^\d{9,11}\.\d+$' THEN
    RETURN to_timestamp(p_text::double precision);
  END IF;
  v_local := substring(p_text FROM '^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?')::timestamp;
  IF v_local IS NULL OR v_word IS NULL THEN
    RETURN v_local AT TIME ZONE v_zone;
  END IF;
  -- to_char tells the abbreviation of the session's zone, which is this function's own until it ends
  PERFORM set_config('timezone', v_zone, true);
  -- clocks go back by an hour, in one place by half of one
  FOREACH v_shift IN ARRAY ARRAY['0', '1 hour', '-1 hour', '30 minutes', '-30 minutes']::interval[] LOOP
    v_moment := v_local AT TIME ZONE v_zone + v_shift;
    IF v_moment AT TIME ZONE v_zone = v_local AND upper(to_char(v_moment, 'TZ')) = v_word THEN
      RETURN v_moment;
    END IF;
  END LOOP;
  RETURN CASE WHEN v_word IN ('UTC', 'GMT', 'UCT', 'Z') THEN v_local AT TIME ZONE 'UTC'
              WHEN v_word ~ '^[+-]\d\d(:?\d\d)?$' THEN (v_local::text || v_word)::timestamptz END;
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION lock_log.parse_time(text, text) IS
  'The moment of a log record by the zone that the file was written in (its server''s log_timezone; NULL: UTC). NULL if the text is no time, or '
  'its abbreviation none of that zone at that moment.';
