CREATE OR REPLACE FUNCTION lock_admin.setting(p_name text)
RETURNS jsonb
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_value jsonb;
BEGIN
    SELECT s.value INTO v_value FROM lock_admin.setting AS s WHERE s.name = p_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'There is no setting named "%"; lock_admin.setting lists them.', p_name
            USING ERRCODE = 'undefined_parameter';
    END IF;
    RETURN v_value;
END
$$;

COMMENT ON FUNCTION lock_admin.setting(text) IS
    'The value of one setting as JSON; an unknown name is an error.';
