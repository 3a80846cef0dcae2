-- Stand-in: created only where the platform has none.
DO $stand_in$
BEGIN
    IF to_regprocedure('util.get_record_source()') IS NULL THEN
        CREATE FUNCTION util.get_record_source() RETURNS character varying
        LANGUAGE sql STABLE PARALLEL SAFE
        SET search_path = pg_catalog, pg_temp
        AS 'SELECT ''ONE_VAULT''::character varying';
        COMMENT ON FUNCTION util.get_record_source() IS
            'Stand-in by One Vault lock monitor: the source named in rows that a person inserts.';
    END IF;
END
$stand_in$;
