-- The one owner of what each setting may be. What is wrong with a value, as the end of a sentence; NULL if nothing is. Of a
-- setting that it does not know (a site's own) it says nothing.
CREATE OR REPLACE FUNCTION lock_admin.setting_fault(p_name text, p_value jsonb)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_least numeric;
    v_most numeric;
    v_unit text;
    v_hours constant text := 'is null, or written like {"days": [1, 2, 3, 4, 5], "from": "08:00", "to": "18:00"}';
BEGIN
    SELECT r.least, r.most, r.unit INTO v_least, v_most, v_unit
      FROM (VALUES
          ('capture.min_transaction_age_seconds', 0, 86400, 'seconds'),
          ('watch.max_look_spacing_seconds', 0, 86400, 'seconds'),
          ('compare.min_watched_share', 0, 1, 'a share'),
          ('retention.budget_seconds', 1, 3600, 'seconds'),
          ('door.max_per_hour', 0, 1000000, 'signals'),
          ('door.request_valid_seconds', 0, 86400, 'seconds'),
          ('door.wait_seconds', 0, 30, 'seconds'),
          ('auto_resolve.max_per_run', 0, 5, 'sessions'),
          ('auto_resolve.grace_seconds', 0, 3600, 'seconds'),
          ('policy.dry_run_hours', 0, 8784, 'hours'),
          ('policy.backtest_valid_days', 0, 366, 'days'),
          ('alerts.interval_seconds', 1, 10, 'seconds'),
          ('alerts.query_timeout_seconds', 1, 5, 'seconds'),
          ('alerts.max_messages_per_minute', 1, 10000, 'messages')
      ) AS r (name, least, most, unit)
     WHERE r.name = p_name;
    IF FOUND THEN
        -- NaN is no JSON number, so each of them can be compared
        RETURN CASE WHEN jsonb_typeof(p_value) IS DISTINCT FROM 'number' OR (p_value #>> '{}')::numeric NOT BETWEEN v_least AND v_most
                    THEN format('is a number from %s to %s (%s)', v_least, v_most, v_unit)
                    WHEN v_unit IN ('signals', 'sessions', 'messages', 'days') AND (p_value #>> '{}')::numeric % 1 <> 0
                    THEN format('is a whole number from %s to %s (%s)', v_least, v_most, v_unit) END;
    END IF;
    IF p_name IN ('monitor.own_logins', 'door.protected_users', 'alerts.literals_to') THEN
        RETURN CASE WHEN jsonb_typeof(p_value) IS DISTINCT FROM 'array'
                      OR EXISTS (SELECT 1 FROM jsonb_array_elements(p_value) e WHERE jsonb_typeof(e) <> 'string')
                    THEN 'is a list of names, such as ["postgres"]' END;
    ELSIF p_name = 'tenants.claims' THEN
        RETURN CASE WHEN jsonb_typeof(p_value) IS DISTINCT FROM 'array' OR jsonb_array_length(p_value) > 20
                      OR EXISTS (SELECT 1 FROM jsonb_array_elements(p_value) e
                                  WHERE jsonb_typeof(e) <> 'string' OR lock_engine.claim_pattern(e #>> '{}') IS NULL)
                    THEN 'is a list of at most 20 such as ["user: app_{tenant}", "application: {tenant}-*", "database: {tenant}", "schema: t_{tenant}"]: '
                         'each has {tenant} once, and * for any text twice at most' END;
    ELSIF p_name = 'door.protected_applications' THEN
        RETURN CASE WHEN jsonb_typeof(p_value) IS DISTINCT FROM 'array'
                      OR EXISTS (SELECT 1 FROM jsonb_array_elements(p_value) e
                                  WHERE jsonb_typeof(e -> 'application') IS DISTINCT FROM 'string'
                                     OR jsonb_typeof(e -> 'user') IS DISTINCT FROM 'string')
                    THEN 'is a list such as [{"application": "pg_dump*", "user": "@privileged"}]' END;
    ELSIF p_name = 'door.enabled' THEN
        RETURN CASE WHEN jsonb_typeof(p_value) IS DISTINCT FROM 'boolean' THEN 'is true or false' END;
    ELSIF p_name = 'auto_resolve.min_severity' THEN
        RETURN CASE WHEN (p_value #>> '{}' IN ('LOW', 'MEDIUM', 'HIGH', 'CRITICAL')) IS NOT TRUE
                    THEN 'is "LOW", "MEDIUM", "HIGH" or "CRITICAL"' END;
    ELSIF p_name = 'policy.second_person' THEN
        RETURN CASE WHEN (p_value #>> '{}' IN ('auto', 'always', 'never')) IS NOT TRUE
                    THEN 'is "auto", "always" or "never"' END;
    ELSIF p_name = 'system.tenant_hk' THEN
        RETURN CASE WHEN (p_value #>> '{}' ~ '^\\x([0-9a-f]{2})+$') IS NOT TRUE THEN 'is a hash key, written "\\x..."' END;
    ELSIF p_name IN ('analysis.business_hours', 'analysis.maintenance_hours') THEN
        IF jsonb_typeof(p_value) IS DISTINCT FROM 'object' THEN
            RETURN CASE WHEN jsonb_typeof(p_value) IS DISTINCT FROM 'null' THEN v_hours END;
        END IF;
        IF (p_value ->> 'from' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$' AND p_value ->> 'to' ~ '^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$'
            AND p_value ->> 'days' ~ '^\[[1-7](, [1-7])*\]$'
            AND coalesce(jsonb_typeof(p_value -> 'zone'), 'string') IN ('string', 'null')) IS NOT TRUE THEN
            RETURN v_hours;
        END IF;
        BEGIN
            PERFORM now() AT TIME ZONE (p_value ->> 'zone');
        EXCEPTION
            WHEN invalid_parameter_value THEN
                RETURN 'names a "zone" that PostgreSQL knows (pg_timezone_names), or none';
        END;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION lock_admin.setting_fault(text, jsonb) IS
    'What is wrong with a value of a setting, as the end of a sentence; NULL if nothing is, or the setting is none of the monitor''s.';
