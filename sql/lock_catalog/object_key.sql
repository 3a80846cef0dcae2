CREATE OR REPLACE FUNCTION lock_catalog.object_key(
  p_lock_type text, p_database oid, p_relation oid, p_page integer, p_tuple integer, p_virtualxid text,
  p_transactionid bigint, p_classid oid, p_objid oid, p_objsubid integer)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE
    WHEN p_lock_type IS NULL THEN NULL
    WHEN p_lock_type = 'transactionid' THEN 'transactionid:' || p_transactionid
    WHEN p_lock_type = 'virtualxid' THEN 'virtualxid:' || p_virtualxid
    ELSE concat_ws(':', p_lock_type, p_database, p_relation, p_page, p_tuple, p_classid, p_objid, p_objsubid,
                   p_transactionid)
  END
$$;
COMMENT ON FUNCTION lock_catalog.object_key(text, oid, oid, integer, integer, text, bigint, oid, oid, integer) IS
  'The locked object as one text, the part of a lock''s business key that names what is locked.';
