CREATE OR REPLACE FUNCTION lock_log.resume_position(p_source text, p_head bytea)
RETURNS bigint
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT lock_engine.require_owner('lock_vault_owner');
  SELECT coalesce((SELECT s.position FROM lock_log.source s
                    WHERE s.source = p_source AND length(p_head) >= s.head_length
                      AND md5(substr(p_head, 1, s.head_length)) = s.head_hash), 0)
$$;
COMMENT ON FUNCTION lock_log.resume_position(text, bytea) IS
  'Byte at which to go on in a file read before; 0 if it is unknown or its first bytes (p_head, at least 256) are another file''s.';
ALTER FUNCTION lock_log.resume_position(text, bytea) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_log.resume_position(text, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_log.resume_position(text, bytea) TO lock_admin_role;
