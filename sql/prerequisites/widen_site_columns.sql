-- Where a site's tables bound a number or an array's elements (numeric(5,2), varchar(100)[]), the bound goes: a score or a
-- wait in milliseconds may be larger, and a value too large would make the whole cycle fail.
DO $widen$
DECLARE
    v_table record;
BEGIN
    FOR v_table IN
        SELECT c.oid::regclass AS relation,
               string_agg(format('ALTER COLUMN %I TYPE %s', a.attname,
                                 CASE WHEN t.typcategory = 'A' THEN 'text[]' ELSE 'numeric' END),
                          ', ' ORDER BY a.attnum) AS actions
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
        WHERE n.nspname = 'lock_monitoring'
          AND c.relname IN ('lock_activity_s', 'blocking_session_s', 'deadlock_event_s', 'lock_wait_analysis_s')
          AND ((a.atttypid = 'numeric'::regtype AND a.atttypmod <> -1) OR a.atttypid = 'varchar[]'::regtype)
          -- A column that a site's own view, trigger or policy reads cannot change its type; it keeps its bound.
          AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend AS d
                          WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum
                            AND d.classid IN ('pg_rewrite'::regclass, 'pg_trigger'::regclass, 'pg_policy'::regclass))
        GROUP BY c.oid
    LOOP
        EXECUTE format('ALTER TABLE %s %s', v_table.relation, v_table.actions);
    END LOOP;
END
$widen$;
