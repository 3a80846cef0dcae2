-- A setting that exists keeps its value.
INSERT INTO lock_admin.setting (name, value, description)
VALUES
    ('capture.min_transaction_age_seconds', '1',
     'Granted locks that block nobody are stored once their transaction is older than this many seconds; 0 stores all.'),
    ('monitor.own_logins', '[]',
     'Login names of the monitor itself: their sessions are shown only when they block somebody else.')
ON CONFLICT (name) DO NOTHING;
