CREATE OR REPLACE FUNCTION monitoring.store_alert_states(p_states jsonb)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_count integer;
BEGIN
    PERFORM lock_engine.require_writable('monitoring.store_alert_states', false);
    INSERT INTO monitoring.alert_state AS t (
        alert_config_hk, level, level_since, pending_level, pending_since, value, sentence, evaluated_at, evaluation_ms, recent,
        whole_sentence)
    SELECT decode(s.alert_config_hk, 'hex'), s.level, s.level_since, s.pending_level, s.pending_since, s.value,
           left(s.sentence, 1000), s.evaluated_at, s.evaluation_ms,
           jsonb_build_array(jsonb_build_array(round(date_part('epoch', s.evaluated_at)), s.value)), left(s.whole_sentence, 1000)
      FROM jsonb_to_recordset(p_states) AS s (
           alert_config_hk text, level text, level_since timestamptz, pending_level text, pending_since timestamptz,
           value numeric, sentence text, evaluated_at timestamptz, evaluation_ms numeric,
           whole_sentence text)
     ORDER BY s.alert_config_hk
        ON CONFLICT (alert_config_hk) DO UPDATE
       SET level = excluded.level, level_since = excluded.level_since, pending_level = excluded.pending_level,
           pending_since = excluded.pending_since, value = excluded.value, sentence = excluded.sentence,
           whole_sentence = excluded.whole_sentence, evaluated_at = excluded.evaluated_at, evaluation_ms = excluded.evaluation_ms,
           recent = CASE WHEN jsonb_array_length(t.recent) < 60 THEN t.recent ELSE t.recent - 0 END || excluded.recent;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END
$function$;

COMMENT ON FUNCTION monitoring.store_alert_states(jsonb) IS
    'Stores where the evaluation of alerts stands: an array of objects with the columns of monitoring.alert_state. Returns how many.';
REVOKE ALL ON FUNCTION monitoring.store_alert_states(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring.store_alert_states(jsonb) TO lock_admin_role;
