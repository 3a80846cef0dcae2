-- Where the first reading of a log file begins: no further back than what the caller wants needs, and at most 16 MB before
-- its end. Looks back by doubled steps, each time at some kilobytes only. The latest time stamp seen there counts, so that
-- one written into a statement's text to look older changes nothing.
CREATE OR REPLACE FUNCTION lock_log.first_position(
  p_file_name text, p_file_size bigint, p_since timestamptz, p_time_zone text,
  OUT first_byte bigint, OUT skipped_bytes bigint)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c_most constant bigint := 16 * 1024 * 1024;
  c_window constant bigint := 16 * 1024;
  -- a record begins with its time in csvlog, jsonlog, and stderr with the usual prefix; others are read from c_most on
  c_stamp constant text := '(?:\{"timestamp":")?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [^ ,"\[]+)';
  v_back bigint := 64 * 1024;
  v_text text;
  v_begins text;
BEGIN
  skipped_bytes := 0;
  WHILE v_back < least(p_file_size, c_most) AND p_since IS NOT NULL LOOP
    v_text := encode(lock_log.read_server_file(p_file_name, p_file_size - v_back, c_window), 'escape');
    v_begins := substring(v_text FROM '^(.*?\n)' || c_stamp);
    IF v_begins IS NOT NULL
       AND (SELECT max(lock_log.parse_time(m.part[1], p_time_zone))
              FROM regexp_matches(substr(v_text, length(v_begins)), '\n' || c_stamp, 'g') AS m (part)) < p_since - interval '2 seconds' THEN
      first_byte := p_file_size - v_back + length(decode(v_begins, 'escape'));
      RETURN;
    END IF;
    v_back := v_back * 2;
  END LOOP;
  first_byte := greatest(0, p_file_size - c_most);
  skipped_bytes := first_byte;
END
$$;
COMMENT ON FUNCTION lock_log.first_position(text, bigint, timestamptz, text) IS
  'Byte at which to begin reading a log file of p_file_size bytes for records since p_since (NULL: any), and how many bytes before '
  'it may hold some all the same. p_time_zone: the server''s log_timezone.';
REVOKE ALL ON FUNCTION lock_log.first_position(text, bigint, timestamptz, text) FROM PUBLIC;
