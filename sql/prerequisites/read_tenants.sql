-- So that the first cycle knows whose the sessions of now are. Where the site's tables cannot be read it is tried again later.
DO $read_tenants$
BEGIN
    INSERT INTO lock_engine.tenant_wanted (claim)
    SELECT DISTINCT c.claim
    FROM lock_catalog.sessions AS s
    CROSS JOIN LATERAL (VALUES ('u:' || s.user_name),
                               ('t:' || substring(s.application_name FROM '(?:^|[\s;,|])tenant=([^\s;,|]+)'))) AS c (claim)
    WHERE c.claim IS NOT NULL
    ON CONFLICT (claim) DO NOTHING;
    PERFORM lock_engine.ask_site(true);
END
$read_tenants$;
