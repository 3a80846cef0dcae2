-- A function that people and cron call inherits nothing of its caller's session: what a role's or a database's default
-- could change about its result is set here, for all of them in one place. Functions that are reached only through these,
-- or through the loop's own connection (which sets all of it), carry none: each setting costs a call about a microsecond.
-- Moments that stand in a sentence are therefore in UTC, and say so.
DO $session_settings$
DECLARE
    v_settings constant jsonb := jsonb_build_object(
        'DateStyle', 'ISO, MDY', 'IntervalStyle', 'postgres', 'TimeZone', 'UTC', 'extra_float_digits', '1',
        'bytea_output', 'hex', 'standard_conforming_strings', 'on', 'array_nulls', 'on', 'transform_null_equals', 'off',
        'quote_all_identifiers', 'off', 'exit_on_error', 'off', 'row_security', 'on', 'jit', 'off',
        'restrict_nonsystem_relation_kind', '');
    v_function record;
    v_clauses text;
BEGIN
    FOR v_function IN
        SELECT p.oid::regprocedure::text AS signature, e.is_entry, p.provolatile = 'v' AS writes,
               coalesce((SELECT array_agg(lower(split_part(c, '=', 1))) FROM unnest(p.proconfig) AS c), '{}') AS has
          FROM pg_catalog.pg_proc AS p
          JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
          JOIN pg_temp.lockmon_expected AS x ON x.kind = 'function' AND x.full_name = p.oid::regprocedure::text
         CROSS JOIN LATERAL (
               SELECT n.nspname IN ('lock_monitoring', 'monitoring')
                      OR (n.nspname = 'lock_admin' AND p.prosecdef
                          AND (has_function_privilege('lock_monitoring_role', p.oid, 'EXECUTE')
                               OR has_function_privilege('lock_admin_role', p.oid, 'EXECUTE'))) AS is_entry) AS e
         -- a procedure that commits on its way can have no settings of its own
         WHERE p.prokind = 'f'
           AND (e.is_entry OR position(chr(92) IN p.prosrc) > 0)
    LOOP
        -- Of the others, a body with a backslash is read as it was written, whatever the session takes a backslash for.
        SELECT string_agg(format('SET %s TO %s', s.key, s.value), ' ' ORDER BY s.key)
          INTO v_clauses
          FROM (SELECT j.key, CASE WHEN j.key = 'DateStyle' THEN j.value ELSE quote_literal(j.value) END
                  FROM jsonb_each_text(v_settings) AS j
                 WHERE (v_function.is_entry OR j.key = 'standard_conforming_strings')
                   AND current_setting(j.key, true) IS NOT NULL
                UNION ALL
                SELECT 'lock_timeout', quote_literal('1s') WHERE v_function.is_entry AND v_function.writes) AS s (key, value)
         WHERE NOT lower(s.key) = ANY (v_function.has);
        IF v_clauses IS NOT NULL THEN
            EXECUTE format('ALTER FUNCTION %s %s', v_function.signature, v_clauses);
        END IF;
    END LOOP;
END
$session_settings$;
