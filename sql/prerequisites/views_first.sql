-- Whoever reads a view locks it first and then what it reads; an update that changed a table and came to the view afterwards met such
-- a reader in a deadlock, again and again where somebody always reads. So all views are locked before anything is changed,
-- in the readers' order: a view that reads another one before that one. Setting the owner that it has changes nothing and
-- takes the lock on the view alone; LOCK TABLE would go on to its tables.
DO $views_first$
DECLARE
    v_view record;
BEGIN
    FOR v_view IN
        WITH RECURSIVE ours AS (
            SELECT c.oid, c.relowner
            FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.relkind = 'v'
              AND n.nspname IN ('lock_monitoring', 'lock_catalog', 'lock_engine', 'lock_admin', 'lock_log', 'monitoring')
              AND pg_catalog.pg_get_userbyid(c.relowner) IN ('lock_vault_owner', 'lock_door_owner', 'lock_log_reader')
              AND pg_catalog.pg_has_role(current_user, c.relowner, 'USAGE')),
        uses AS (
            SELECT DISTINCT r.ev_class AS reader, d.refobjid AS used
            FROM pg_catalog.pg_depend AS d
            JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
            WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
              AND r.ev_class <> d.refobjid AND r.ev_class IN (SELECT o.oid FROM ours AS o)
              AND d.refobjid IN (SELECT o.oid FROM ours AS o)),
        depth AS (
            SELECT o.oid, 0 AS below FROM ours AS o
            UNION
            SELECT u.used, d.below + 1 FROM depth AS d JOIN uses AS u ON u.reader = d.oid WHERE d.below < 100)
        SELECT o.oid::regclass::text AS name, pg_catalog.pg_get_userbyid(o.relowner) AS owner
        FROM ours AS o
        JOIN (SELECT d.oid, max(d.below) AS below FROM depth AS d GROUP BY d.oid) AS x ON x.oid = o.oid
        ORDER BY x.below, o.oid
    LOOP
        EXECUTE format('ALTER VIEW %s OWNER TO %I', v_view.name, v_view.owner);
    END LOOP;
END
$views_first$;
