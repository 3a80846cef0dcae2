-- The old functions could leave a hub with several open rows; then which one is in force cannot be known.
DO $check_open_rows$
DECLARE
    v_table record;
    v_hubs bigint;
BEGIN
    FOR v_table IN
        SELECT c.relname, a.attname
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = 1
        WHERE n.nspname = 'lock_monitoring' AND c.relkind IN ('r', 'p')
          AND c.relname IN ('lock_activity_s', 'blocking_session_s', 'deadlock_event_s', 'lock_wait_analysis_s')
          AND to_regclass(format('lock_monitoring.uq_%s_open', c.relname)) IS NULL
    LOOP
        EXECUTE format(
            'SELECT count(*) FROM (SELECT 1 FROM lock_monitoring.%I WHERE load_end_date IS NULL '
            'GROUP BY %I HAVING count(*) > 1) AS h', v_table.relname, v_table.attname)
        INTO v_hubs;
        IF v_hubs > 0 THEN
            RAISE EXCEPTION '%.% has % hub(s) with more than one open row, left by older functions: set load_end_date of the older rows, or empty the table. Nothing was changed.',
                'lock_monitoring', v_table.relname, v_hubs;
        END IF;
    END LOOP;
END
$check_open_rows$;
