-- The object of a log record as lock_activity_s has it (object_key). What the log does not tell is left out: of an object in a catalog
-- its part (objsubid).
CREATE OR REPLACE FUNCTION lock_log.object_key(
  p_lock_type text, p_object_text text, p_database_oid oid, p_relation_oid oid, p_page integer, p_tuple integer, p_transactionid bigint)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE p_lock_type
    WHEN 'transactionid' THEN 'transactionid:' || p_transactionid
    WHEN 'relation' THEN 'relation:' || p_database_oid || ':' || p_relation_oid
    WHEN 'extend' THEN 'extend:' || p_database_oid || ':' || p_relation_oid
    WHEN 'page' THEN 'page:' || p_database_oid || ':' || p_relation_oid || ':' || p_page
    WHEN 'tuple' THEN 'tuple:' || p_database_oid || ':' || p_relation_oid || ':' || p_page || ':' || p_tuple
    WHEN 'virtualxid' THEN 'virtualxid:' || substring(p_object_text FROM '(\d+/\d+)')
    WHEN 'advisory' THEN 'advisory:' || replace(substring(p_object_text FROM '\[(\d+,\d+,\d+,\d+)\]'), ',', ':')
    WHEN 'object' THEN 'object:' || array_to_string((regexp_match(p_object_text, '(\d+)\D+(\d+)\D+(\d+)'))[3:3], '') || ':'
      || array_to_string((regexp_match(p_object_text, '(\d+)\D+(\d+)\D+(\d+)'))[2:2], '') || ':'
      || array_to_string((regexp_match(p_object_text, '(\d+)\D+(\d+)\D+(\d+)'))[1:1], '') END;
END
$$;
COMMENT ON FUNCTION lock_log.object_key(text, text, oid, oid, integer, integer, bigint) IS
  'lock_activity_s.object_key of the lock that a log record names, NULL for the rare kinds; of type object without its last number.';
