-- Functions and views of this release's names, and whatever is in the product's own schemas, must be the product's: CREATE OR
-- REPLACE would leave its owner and its grants to an object that somebody else made, and another of the same name, with
-- other arguments, could be called in its place.
DO $check_names$
DECLARE
    v_objects text;
BEGIN
    SELECT string_agg(x.described, ', ' ORDER BY x.described) INTO v_objects
    FROM (
        SELECT format('%s (of "%s")', pg_describe_object('pg_proc'::regclass, p.oid, 0), pg_get_userbyid(p.proowner)) AS described
        FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE NOT pg_temp.is_trusted(p.proowner)
          AND (n.nspname IN ('lock_catalog', 'lock_engine', 'lock_log', 'lock_admin')
               OR (n.nspname IN ('lock_monitoring', 'monitoring')
                   AND EXISTS (SELECT 1 FROM pg_temp.lockmon_expected AS e
                               WHERE e.kind = 'function' AND split_part(e.full_name, '(', 1) = n.nspname || '.' || p.proname)))
        UNION ALL
        SELECT format('%s (of "%s")', pg_describe_object('pg_class'::regclass, c.oid, 0), pg_get_userbyid(c.relowner))
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE NOT pg_temp.is_trusted(c.relowner)
          AND (n.nspname || '.' || c.relname = ANY (pg_temp.shared_tables())
               OR EXISTS (SELECT 1 FROM pg_temp.lockmon_expected AS e
                          WHERE e.kind = 'view' AND e.full_name = n.nspname || '.' || c.relname))
    ) AS x;
    IF v_objects IS NOT NULL THEN
        RAISE EXCEPTION 'Others own what bears names of the monitor''s: %. Drop or rename it and install again. Nothing was changed.',
            v_objects USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$check_names$;
