CREATE OR REPLACE FUNCTION lock_catalog.object_name(
  p_lock_type text, p_schema text, p_relation_name text, p_relkind "char", p_relation oid, p_page integer,
  p_tuple integer, p_virtualxid text, p_transactionid bigint, p_classid oid, p_objid oid, p_objsubid integer)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE
    WHEN p_lock_type IS NULL THEN NULL
    WHEN p_lock_type IN ('relation', 'extend') THEN
      CASE WHEN p_lock_type = 'extend' THEN 'extension of ' ELSE '' END
      || CASE p_relkind WHEN 'i' THEN 'index ' WHEN 'I' THEN 'index ' WHEN 'S' THEN 'sequence ' WHEN 'v' THEN 'view '
           WHEN 'm' THEN 'materialized view ' WHEN 't' THEN 'toast table ' WHEN 'f' THEN 'foreign table ' ELSE 'table ' END
      || coalesce(p_schema || '.' || p_relation_name, 'with OID ' || p_relation || ' (another database)')
    WHEN p_lock_type = 'page' THEN format('page %s of %s', p_page, coalesce(p_schema || '.' || p_relation_name, 'OID ' || p_relation))
    WHEN p_tuple IS NOT NULL THEN
      format('row (%s,%s) of %s', p_page, p_tuple,
             coalesce(p_schema || '.' || p_relation_name, 'OID ' || p_relation || ' (another database)'))
      || CASE WHEN p_lock_type = 'transactionid' THEN ' (transaction ' || p_transactionid || ')' ELSE '' END
    WHEN p_lock_type = 'transactionid' THEN 'transaction ' || p_transactionid
    WHEN p_lock_type = 'virtualxid' THEN 'virtual transaction ' || p_virtualxid
    WHEN p_lock_type = 'advisory' THEN
      -- objsubid 1: one bigint key, in two halves; 2: two integer keys
      CASE WHEN p_objsubid = 1 THEN 'advisory lock ' || ((p_classid::bigint << 32) | p_objid::bigint)
           ELSE format('advisory lock (%s, %s)', p_classid, p_objid) END
    WHEN p_lock_type = 'object' THEN format('object %s of class %s', p_objid, p_classid)
    ELSE concat_ws(' ', p_lock_type, 'lock', nullif(concat_ws(':', p_relation, p_classid, p_objid, p_objsubid, p_transactionid), ''))
  END;
END
$$;
COMMENT ON FUNCTION lock_catalog.object_name(text, text, text, "char", oid, integer, integer, text, bigint, oid, oid, integer) IS
  'The locked object in words: "table app.accounts", "row (12,4) of app.accounts", "transaction 8812". Names come from '
  'the monitored database: show them as untrusted text.';
