-- So that the first cycle knows whose the sessions of now are. Where the site's tables cannot be read it is tried again later.
-- A claim that is known stays as it is, however old: an update changes no row that need not change. (tenant_of() would ask anew.)
DO $read_tenants$
BEGIN
    INSERT INTO lock_engine.tenant_wanted (claim)
    SELECT DISTINCT c.claim
    FROM lock_catalog.sessions AS s
    CROSS JOIN LATERAL (VALUES ('u:' || s.user_name),
                               ('t:' || lock_engine.claimed_tenant(s.application_name))) AS c (claim)
    WHERE c.claim IS NOT NULL AND NOT EXISTS (SELECT 1 FROM lock_engine.tenant_claim AS k WHERE k.claim = c.claim)
    ON CONFLICT (claim) DO NOTHING;
    IF lock_engine.ask_due() THEN
        PERFORM lock_engine.ask_site();
    END IF;
    INSERT INTO pg_temp.lockmon_note (sentence)
    SELECT format('Tenants cannot be read, and rows of those not known already will say "tenant not known yet": %s. What mends it: %s',
                  s.fault, s.remedy)
    FROM lock_engine.site_trouble() AS s
    ON CONFLICT (sentence) DO NOTHING;
END
$read_tenants$;
