-- Sessions that no tenant claims belong to the system tenant: the site's own where it has one, else one that is added.
-- At most one row is added: a site's audit trigger may fail when two follow each other at once.
DO $system_tenant$
DECLARE
    v_tenant_hk bytea;
    v_tenant_bk text := 'SYSTEM';
    v_from_site bytea;
BEGIN
    SELECT decode(substr(s.value #>> '{}', 3), 'hex') INTO v_tenant_hk
    FROM lock_admin.setting AS s WHERE s.name = 'system.tenant_hk';
    IF v_tenant_hk IS NOT NULL
       AND EXISTS (SELECT 1 FROM auth.tenant_h AS t WHERE t.tenant_hk = v_tenant_hk) THEN
        RETURN;
    END IF;

    IF to_regprocedure('util.get_system_operations_tenant_hk()') IS NOT NULL THEN
        EXECUTE 'SELECT util.get_system_operations_tenant_hk()' INTO v_from_site;
    END IF;

    SELECT t.tenant_hk INTO v_tenant_hk
    FROM auth.tenant_h AS t
    WHERE t.tenant_hk = v_from_site
       OR t.tenant_hk = decode(lpad('1', 64, '0'), 'hex')
       OR t.tenant_hk = sha256(convert_to('SYSTEM', 'UTF8'))
       OR t.tenant_bk IN ('SYSTEM_OPERATIONS', 'SYSTEM')
    ORDER BY t.tenant_hk = v_from_site DESC NULLS LAST,
             t.tenant_hk = decode(lpad('1', 64, '0'), 'hex') DESC,
             t.tenant_hk = sha256(convert_to('SYSTEM', 'UTF8')) DESC,
             t.load_date, t.tenant_hk
    LIMIT 1;

    IF v_tenant_hk IS NULL THEN
        v_tenant_hk := coalesce(v_from_site, sha256(convert_to('SYSTEM', 'UTF8')));
        IF v_from_site IS NOT NULL THEN
            v_tenant_bk := 'SYSTEM_OPERATIONS';
        END IF;
        INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source)
        VALUES (v_tenant_hk, v_tenant_bk, 'LOCK_MONITOR');
    END IF;

    INSERT INTO lock_admin.setting (name, value, description)
    VALUES ('system.tenant_hk', to_jsonb('\x' || encode(v_tenant_hk, 'hex')),
            'Key of the tenant that sessions belong to when no other tenant claims them; found or added at install.')
    ON CONFLICT (name) DO UPDATE SET value = excluded.value;
END
$system_tenant$;
