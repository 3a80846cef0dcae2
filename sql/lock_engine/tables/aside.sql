-- Rows of the vault that have no place yet: their tenant's row, or all of auth.tenant_h, is locked, or whose they are could
-- not be read. Each table is a child of the published one, so that whoever reads or updates that reads and updates these
-- rows too; a child has no foreign key. lock_engine.place_rows moves them, as they are, once the lock has gone.
-- A table that a site has partitioned can have no child: see lock_engine.set_aside.
DO $aside$
DECLARE
  v_name text;
  v_change text;
BEGIN
  FOREACH v_name IN ARRAY ARRAY[
    'lock_activity_h', 'lock_activity_s', 'blocking_session_h', 'blocking_session_s', 'deadlock_event_h', 'deadlock_event_s',
    'lock_wait_analysis_h', 'lock_wait_analysis_s', 'lock_blocking_l', 'deadlock_involvement_l']
  LOOP
    IF to_regclass('lock_engine.aside_' || v_name) IS NULL THEN
      EXECUTE format('CREATE TABLE lock_engine.aside_%1$s (LIKE lock_monitoring.%1$s INCLUDING INDEXES)%2$s', v_name,
        CASE WHEN (SELECT c.relkind FROM pg_catalog.pg_class c WHERE c.oid = ('lock_monitoring.' || v_name)::regclass) = 'r'
             THEN format(' INHERITS (lock_monitoring.%s)', v_name) ELSE '' END);
      EXECUTE format('COMMENT ON TABLE lock_engine.aside_%1$s IS %2$L', v_name,
        'Rows of lock_monitoring.' || v_name || ' whose tenant cannot be had at the moment; read through that table.');
    END IF;
    -- a child gets each column that the published table gets; a copy gets it here
    FOR v_change IN
      SELECT CASE WHEN a.attname IS NULL THEN format('ADD COLUMN %I %s', p.attname, format_type(p.atttypid, p.atttypmod))
                  ELSE format('ALTER COLUMN %I TYPE %s', p.attname, format_type(p.atttypid, p.atttypmod)) END
        FROM pg_catalog.pg_attribute p
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = ('lock_engine.aside_' || v_name)::regclass AND a.attname = p.attname AND NOT a.attisdropped
       WHERE p.attrelid = ('lock_monitoring.' || v_name)::regclass AND p.attnum > 0 AND NOT p.attisdropped
         AND (a.attname IS NULL OR (a.atttypid, a.atttypmod) IS DISTINCT FROM (p.atttypid, p.atttypmod))
       ORDER BY p.attnum
    LOOP
      EXECUTE format('ALTER TABLE lock_engine.aside_%s %s', v_name, v_change);
    END LOOP;
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.aside_%s TO lock_vault_owner', v_name);
  END LOOP;
END
$aside$;
