-- A log's time stamp ("2026-11-22 03:12:41.123 CET"). Abbreviations are ambiguous, so the server's log_timezone decides
-- where it is known, except in the hour that a change of clocks repeats, where only the abbreviation tells.
CREATE OR REPLACE FUNCTION lock_log.parse_time(p_text text, p_time_zone text)
RETURNS timestamptz
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, YMD'
AS $$
DECLARE
  v_local timestamp;
  v_by_zone timestamptz;
  v_by_word timestamptz;
BEGIN
  IF p_text ~ '^\d{9,11}\.\d+$' THEN
    RETURN to_timestamp(p_text::double precision);
  END IF;
  v_local := substring(p_text FROM '^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?')::timestamp;
  IF v_local IS NULL THEN
    RETURN NULL;
  END IF;
  v_by_zone := v_local AT TIME ZONE coalesce(p_time_zone, 'UTC');
  BEGIN
    v_by_word := p_text::timestamptz;
  EXCEPTION WHEN data_exception THEN
    RETURN v_by_zone;
  END;
  IF p_time_zone IS NULL OR abs(extract(epoch FROM v_by_word - v_by_zone)) = 3600 THEN
    RETURN v_by_word;
  END IF;
  RETURN v_by_zone;
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION lock_log.parse_time(text, text) IS
  'The moment of a log record, NULL if the text is none. p_time_zone: the server''s log_timezone, NULL for a foreign file.';
