-- So that the first cycle knows whose the sessions of now are. Where the site's tables cannot be read it is tried again later.
-- A claim that is known stays as it is, however old: an update changes no row that need not change. (tenant_of() would ask anew.)
DO $read_tenants$
BEGIN
    INSERT INTO lock_engine.tenant_wanted (claim)
    SELECT DISTINCT c.claim
    FROM lock_catalog.sessions AS s
    CROSS JOIN LATERAL (VALUES ('u:' || s.user_name),
                               ('t:' || substring(s.application_name FROM '(?:^|[\s;,|])tenant=([^\s;,|]+)'))) AS c (claim)
    WHERE c.claim IS NOT NULL AND NOT EXISTS (SELECT 1 FROM lock_engine.tenant_claim AS k WHERE k.claim = c.claim)
    ON CONFLICT (claim) DO NOTHING;
    IF lock_engine.ask_due() THEN
        PERFORM lock_engine.ask_site();
    END IF;
END
$read_tenants$;
