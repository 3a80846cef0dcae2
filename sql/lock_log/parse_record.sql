-- The fields of one record, by position (csvlog), by key (jsonlog; stderr as lock_log.split_stderr() gives it).
CREATE OR REPLACE FUNCTION lock_log.parse_record(
  p_format text, p_record text, p_time_zone text, p_encoding name,
  OUT readable boolean, OUT logged_at timestamptz, OUT user_name text, OUT database_name text, OUT pid integer,
  OUT client text, OUT session_id text, OUT severity text, OUT sqlstate text, OUT message text, OUT detail text,
  OUT context text, OUT statement text, OUT application_name text, OUT whole_seconds boolean, OUT at_byte bigint)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_field text[];
  v_json jsonb;
BEGIN
  readable := false;
  whole_seconds := false;
  IF p_format = 'csvlog' THEN
    SELECT array_agg(coalesce(replace(m[1], '""', '"'), nullif(m[2], ''))) INTO v_field
      FROM regexp_matches(p_record, '(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))', 'g') m;
    IF cardinality(v_field) < 22 OR v_field[4] !~ '^\d{1,9}$' OR v_field[13] !~ '^[0-9A-Z]{5}$' THEN
      RETURN;
    END IF;
    logged_at := lock_log.parse_time(v_field[1], p_time_zone);
    user_name := v_field[2]; database_name := v_field[3]; pid := v_field[4]::integer; client := v_field[5];
    session_id := v_field[6]; severity := v_field[12]; sqlstate := v_field[13]; message := v_field[14];
    detail := v_field[15]; context := v_field[19]; statement := v_field[20]; application_name := v_field[23];
  ELSIF p_format = 'jsonlog' THEN
    v_json := p_record::jsonb;
    logged_at := lock_log.parse_time(v_json ->> 'timestamp', p_time_zone);
    user_name := v_json ->> 'user'; database_name := v_json ->> 'dbname'; pid := (v_json ->> 'pid')::integer;
    client := v_json ->> 'remote_host'; session_id := v_json ->> 'session_id'; severity := v_json ->> 'error_severity';
    sqlstate := coalesce(v_json ->> 'state_code', '00000'); message := v_json ->> 'message'; detail := v_json ->> 'detail';
    context := v_json ->> 'context'; statement := v_json ->> 'statement'; application_name := v_json ->> 'application_name';
  ELSE
    -- see lock_log.split_stderr(): JSON, each value still as bytea's escapes
    SELECT jsonb_object_agg(f.key, CASE
             WHEN position('\' IN f.value) = 0 THEN f.value
             WHEN p_encoding IS NULL THEN lock_log.readable_record(lock_log.without_nul(f.value), p_format)
             ELSE convert_from(decode(lock_log.without_nul(f.value), 'escape'), p_encoding) END)
      INTO v_json FROM jsonb_each_text(p_record::jsonb) f;
    logged_at := lock_log.parse_time(v_json ->> 'time', p_time_zone);
    -- %t
    whole_seconds := v_json ->> 'time' !~ '\.\d';
    at_byte := (v_json ->> 'at')::bigint;
    pid := (v_json ->> 'pid')::integer;
    user_name := nullif(nullif(v_json ->> 'user', ''), '[unknown]');
    database_name := nullif(nullif(v_json ->> 'database', ''), '[unknown]');
    application_name := nullif(nullif(v_json ->> 'application', ''), '[unknown]');
    client := nullif(v_json ->> 'client', ''); session_id := v_json ->> 'session'; sqlstate := v_json ->> 'sqlstate';
    severity := v_json ->> 'label'; message := v_json ->> 'message'; detail := v_json ->> 'detail';
    context := v_json ->> 'context'; statement := v_json ->> 'statement';
    -- log_error_verbosity = verbose
    IF message ~ '^[0-9A-Z]{5}: ' THEN
      sqlstate := left(message, 5);
      message := substr(message, 8);
    END IF;
    -- in this format alone the place in the statement is told as the end of the message: whoever meets a table's lock while
    -- the statement is parsed has one, which is every SELECT, INSERT, UPDATE and DELETE
    message := regexp_replace(message, ' at character \d+$', '');
  END IF;
  readable := logged_at IS NOT NULL AND pid IS NOT NULL AND message IS NOT NULL;
EXCEPTION WHEN data_exception THEN
  readable := false;
END
$$;
COMMENT ON FUNCTION lock_log.parse_record(text, text, text, name) IS
  'Fields of one log record; readable = false where it is not of the format; whole_seconds: its time has no milliseconds; '
  'p_encoding: see lock_log.record_encoding(); at_byte: where in the piece it begins (stderr).';
