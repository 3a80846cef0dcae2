-- A setting that exists keeps its value.
INSERT INTO lock_admin.setting (name, value, description)
VALUES
    ('capture.min_transaction_age_seconds', '1',
     'Granted locks that block nobody are stored once their transaction is older than this many seconds; 0 stores all.'),
    ('monitor.own_logins', '[]',
     'Login names of the monitor itself: their sessions are shown only when they block somebody else.')
ON CONFLICT (name) DO NOTHING;
INSERT INTO lock_admin.setting (name, value, description) VALUES
    ('watch.max_look_spacing_seconds', '330',
     'Without the resident loop (cron): cycles at most this many seconds apart count as watching, a longer pause is a gap.'),
    ('tenants.claims', '[]',
     'How sessions name their tenant, besides tenant= in the application name: a list such as ["user: app_{tenant}", "database: {tenant}_*"], of '
     'application, user, database or schema (of what they wait for). The first that fits counts. Claims, not proofs.'),
    ('compare.min_watched_share', '0.8',
     'Periods of which less than this share was watched (0 to 1) are not compared.')
ON CONFLICT (name) DO NOTHING;
