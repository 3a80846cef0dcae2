-- The fields of one record, by position (csvlog), by key (jsonlog), or by prefix and keyword (stderr).
CREATE OR REPLACE FUNCTION lock_log.parse_record(
  p_format text, p_record text, p_prefix text, p_time_zone text,
  OUT readable boolean, OUT logged_at timestamptz, OUT user_name text, OUT database_name text, OUT pid integer,
  OUT client text, OUT session_id text, OUT severity text, OUT sqlstate text, OUT message text, OUT detail text,
  OUT context text, OUT statement text, OUT application_name text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_field text[];
  v_json jsonb;
  v_prefix record;
  v_head text[];
  v_line text;
  v_part text := 'message';
  v_text text;
  v_first boolean := true;
BEGIN
  readable := false;
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
    SELECT * INTO v_prefix FROM lock_log.prefix_pattern(p_prefix);
    FOREACH v_line IN ARRAY string_to_array(p_record, E'\n') LOOP
      v_head := CASE WHEN v_line LIKE E'\t%' THEN NULL ELSE regexp_match(v_line, v_prefix.pattern) END;
      IF v_head IS NULL THEN
        v_text := E'\n' || ltrim(v_line, E'\t');
      ELSIF v_first THEN
        v_first := false;
        logged_at := lock_log.parse_time(v_head[array_position(v_prefix.names, 'time')], p_time_zone);
        pid := v_head[array_position(v_prefix.names, 'pid')]::integer;
        user_name := nullif(nullif(v_head[array_position(v_prefix.names, 'user')], ''), '[unknown]');
        database_name := nullif(nullif(v_head[array_position(v_prefix.names, 'database')], ''), '[unknown]');
        application_name := nullif(v_head[array_position(v_prefix.names, 'application')], '[unknown]');
        client := v_head[array_position(v_prefix.names, 'client')];
        session_id := v_head[array_position(v_prefix.names, 'session')];
        sqlstate := v_head[array_position(v_prefix.names, 'sqlstate')];
        severity := v_head[array_position(v_prefix.names, 'severity')];
        v_text := v_head[array_position(v_prefix.names, 'text')];
        IF v_text ~ '^[0-9A-Z]{5}: ' THEN
          sqlstate := left(v_text, 5);
          v_text := substr(v_text, 8);
        END IF;
      ELSE
        v_text := v_head[array_position(v_prefix.names, 'text')];
        v_part := lower(v_head[array_position(v_prefix.names, 'severity')]);
      END IF;
      IF v_part = 'message' THEN message := coalesce(message, '') || v_text;
      ELSIF v_part = 'detail' THEN detail := coalesce(detail, '') || v_text;
      ELSIF v_part = 'context' THEN context := coalesce(context, '') || v_text;
      ELSIF v_part = 'statement' THEN statement := coalesce(statement, '') || v_text;
      END IF;
    END LOOP;
    -- in this format alone the place in the statement is told as the end of the message: whoever meets a table's lock while
    -- the statement is parsed has one, which is every SELECT, INSERT, UPDATE and DELETE
    message := regexp_replace(message, ' at character \d+$', '');
  END IF;
  readable := logged_at IS NOT NULL AND pid IS NOT NULL AND message IS NOT NULL;
EXCEPTION WHEN data_exception THEN
  readable := false;
END
$$;
COMMENT ON FUNCTION lock_log.parse_record(text, text, text, text) IS
  'Fields of one log record; readable = false where it is not of the format.';
