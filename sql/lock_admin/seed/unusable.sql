-- A value that nothing can use, from a release that did not look, is replaced by the default; lock_admin.setting_history keeps it.
DO $unusable$
DECLARE
    v_row record;
BEGIN
    FOR v_row IN
        SELECT s.name, s.value, f.fault
          FROM lock_admin.setting AS s CROSS JOIN LATERAL lock_admin.setting_fault(s.name, s.value) AS f (fault)
         WHERE s.name <> 'system.tenant_hk' AND f.fault IS NOT NULL
    LOOP
        DELETE FROM lock_admin.setting AS s WHERE s.name = v_row.name;
        RAISE WARNING 'The setting % %; it was % and is the default again.', v_row.name, v_row.fault, left(v_row.value::text, 100);
    END LOOP;
END
$unusable$;
