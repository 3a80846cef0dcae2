-- The sandbox. The query is text that a person can edit, so nothing here trusts it: it is opened as a cursor, which
-- takes one statement that returns rows and nothing else; the function belongs to a role that may read statistics
-- and the dashboards and do nothing else; SET ROLE and set_config('role') are refused inside SECURITY DEFINER; STABLE
-- makes PostgreSQL refuse every statement that is not read-only, on top of the read-only transaction.
CREATE OR REPLACE FUNCTION monitoring.evaluate_alert_query(p_query text)
RETURNS numeric
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_cursor refcursor;
    v_row record;
    v_second record;
    v_json json;
    v_columns integer;
    v_type text;
    v_text text;
    v_value numeric;
    v_names text := p_query;
    v_name text;
    v_parts text[];
    v_code integer;
BEGIN
    IF current_user <> 'lock_alert_sandbox' THEN PERFORM lock_engine.require_owner('lock_alert_sandbox'); END IF;
    IF NOT current_setting('transaction_read_only')::boolean THEN
        RAISE EXCEPTION 'An alert query is evaluated in a read-only transaction only: BEGIN READ ONLY first.'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    IF current_setting('statement_timeout') = '0' THEN
        RAISE EXCEPTION 'An alert query is evaluated with a statement_timeout only: set one first.'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    IF p_query IS NULL OR btrim(p_query, E' \t\r\n;') = '' THEN
        RAISE EXCEPTION 'There is no query: write one SELECT that returns one number.'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- What holds is above and around this: the role, the read-only transaction that is rolled back, the timeout, a connection of
    -- its own whose advisory locks are dropped. The words below only say early what would be of no use: these hold something up
    -- until the timeout, write WAL, or run text that nobody has read. Escapes are the one way to hide a name; one that is no hex
    -- digit, sign, quote or blank may be declared for them, so that whatever stands before four or +six hex digits counts.
    FOR v_name IN SELECT n.parts[1] FROM regexp_matches(p_query, 'u&"((?:[^"]|"")*)"', 'gi') AS n (parts) LOOP
        LOOP
            v_parts := regexp_match(v_name, '^(.*?)[^0-9a-f+"''\s](?:([0-9a-f]{4})|\+([0-9a-f]{6}))(.*)$', 'i');
            EXIT WHEN v_parts IS NULL;
            v_code := ('x' || lpad(coalesce(v_parts[2], v_parts[3]), 8, '0'))::bit(32)::integer;
            v_name := v_parts[1] || CASE WHEN v_code BETWEEN 33 AND 126 THEN chr(v_code) ELSE ' ' END || v_parts[4];
        END LOOP;
        v_names := v_names || ' ' || v_name;
    END LOOP;
    IF v_names ~* 'advisory_(xact_)?(un)?lock|_to_xml|cursor_to_|_xmlschema|pg_sleep|pg_logical_emit_message|\m(ts_stat|ts_rewrite|xpath_table|crosstab\d?|connectby)\M|\mdblink' THEN
        RAISE EXCEPTION 'The query names a function that an alert may not call (advisory locks, sleeping, WAL messages, and what runs the text that it is given).'
            USING ERRCODE = 'insufficient_privilege';
    END IF;

    OPEN v_cursor NO SCROLL FOR EXECUTE p_query;
    FETCH v_cursor INTO v_row;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'The query returned no row; it has to return one row with one number.'
            USING ERRCODE = 'no_data_found';
    END IF;
    FETCH v_cursor INTO v_second;
    IF FOUND THEN
        RAISE EXCEPTION 'The query returned more than one row; it has to return one row with one number.'
            USING ERRCODE = 'too_many_rows';
    END IF;
    CLOSE v_cursor;

    -- row_to_json keeps columns of the same name apart, which jsonb would not.
    v_json := row_to_json(v_row);
    SELECT count(*), min(json_typeof(e.value)), min(e.value #>> '{}')
      INTO v_columns, v_type, v_text
      FROM json_each(v_json) AS e (key, value);
    IF v_columns <> 1 THEN
        RAISE EXCEPTION 'The query returned % columns; it has to return one row with one number.', v_columns
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF v_type = 'null' THEN
        RAISE EXCEPTION 'The query returned NULL; it has to return a number (coalesce(..., 0) gives one).'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF v_type = 'string' AND v_text IN ('NaN', 'Infinity', '-Infinity') THEN
        RAISE EXCEPTION 'The query returned %, which is not a finite number.', v_text
            USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    IF v_type <> 'number' THEN
        RAISE EXCEPTION 'The query returned % and not a number.',
            CASE v_type WHEN 'string' THEN 'a text' WHEN 'boolean' THEN 'a truth value' WHEN 'array' THEN 'a list' ELSE 'a row' END
            USING ERRCODE = 'datatype_mismatch';
    END IF;
    IF length(v_text) > 400 THEN
        RAISE EXCEPTION 'The query returned a number of % digits, which is not useful as an alert''s value.', length(v_text)
            USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    v_value := v_text::numeric;
    RETURN v_value;
END
$function$;

COMMENT ON FUNCTION monitoring.evaluate_alert_query(text) IS
    'The sandbox of alerts: runs one SELECT as lock_alert_sandbox and returns its single number. Only in a READ ONLY transaction with a statement_timeout; raises a sentence otherwise.';
ALTER FUNCTION monitoring.evaluate_alert_query(text) OWNER TO lock_alert_sandbox;
REVOKE ALL ON FUNCTION monitoring.evaluate_alert_query(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring.evaluate_alert_query(text) TO lock_monitoring_role;
