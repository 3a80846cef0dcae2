-- Stand-in: created only where the platform has none. The same bytes as pgcrypto's digest(input, 'sha256').
DO $stand_in$
BEGIN
    IF to_regprocedure('util.hash_binary(text)') IS NULL THEN
        CREATE FUNCTION util.hash_binary(input text) RETURNS bytea
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        SET search_path = pg_catalog, pg_temp
        AS 'SELECT sha256(convert_to(input, ''UTF8''))';
        COMMENT ON FUNCTION util.hash_binary(text) IS
            'Stand-in by One Vault lock monitor: sha256 of the text.';
    END IF;
END
$stand_in$;
