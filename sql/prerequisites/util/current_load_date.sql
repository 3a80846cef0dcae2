-- Stand-in: created only where the platform has none.
DO $stand_in$
BEGIN
    IF to_regprocedure('util.current_load_date()') IS NULL THEN
        CREATE FUNCTION util.current_load_date() RETURNS timestamp with time zone
        LANGUAGE sql STABLE PARALLEL SAFE
        SET search_path = pg_catalog, pg_temp
        AS 'SELECT CURRENT_TIMESTAMP';
        COMMENT ON FUNCTION util.current_load_date() IS
            'Stand-in by One Vault lock monitor: the load date, which stands still inside one transaction.';
    END IF;
END
$stand_in$;
