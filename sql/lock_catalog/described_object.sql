-- An object that is locked and is no relation (lock type "object"), by its meaning. pg_identify_object() says it in English whatever
-- lc_messages is; of one that is gone or cannot be asked for now, and of another database's, the class and the number are left.
CREATE OR REPLACE FUNCTION lock_catalog.described_object(p_database oid, p_classid oid, p_objid oid, p_objsubid integer)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_found text;
BEGIN
  -- the lock that a commit with NOTIFY takes: class pg_database, no object
  IF p_classid = 'pg_database'::regclass AND p_objid = 0 THEN
    RETURN 'queue of NOTIFY, which a commit that notifies locks';
  END IF;
  IF p_database = 0 OR p_database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) THEN
    BEGIN
      SELECT i.type || ' ' || i.identity INTO v_found FROM pg_identify_object(p_classid, p_objid, p_objsubid) i;
    EXCEPTION
      WHEN OTHERS THEN v_found := NULL;
    END;
  END IF;
  RETURN coalesce(lock_catalog.readable(v_found),
    format('object %s of class %s', p_objid, coalesce((SELECT c.relname::text FROM pg_class c WHERE c.oid = p_classid), p_classid::text)));
END
$$;
COMMENT ON FUNCTION lock_catalog.described_object(oid, oid, oid, integer) IS
  'A locked object that is no relation, such as "schema app" or "function app.f(integer)". Names come from the monitored database: show them as untrusted text.';
