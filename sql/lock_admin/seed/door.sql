INSERT INTO lock_admin.setting (name, value, description) VALUES
    ('door.enabled', 'true', 'The kill switch: false refuses every action, of persons and of policies.'),
    ('door.max_per_hour', '20', 'Signals the door sends in any 60 minutes, of persons and policies together.'),
    ('door.request_valid_seconds', '60', 'How long after it was made a request may be carried out.'),
    ('door.wait_seconds', '5', 'How long to wait for a signalled session to be gone; at most 30.'),
    ('door.protected_users',
     '["postgres", "*backup*", "*replicat*", "barman", "pgbackrest", "repmgr", "rdsadmin", "cloudsqladmin", "azuresu"]',
     'Logins that the door never signals; * stands for anything.'),
    ('door.protected_applications',
     '[{"application": "pg_dump*", "user": "@privileged"}, {"application": "pg_restore*", "user": "@privileged"},'
     ' {"application": "pg_basebackup*", "user": "@privileged"}, {"application": "pgbackrest*", "user": "@privileged"},'
     ' {"application": "barman*", "user": "@privileged"}, {"application": "pgAdmin*", "user": "@privileged"}]',
     'Sessions that no policy and no automatic resolution stops: application name and user, both must match, because an'
     ' application name is only a claim. @privileged: owner of the database, CREATEROLE, CREATEDB, REPLICATION,'
     ' BYPASSRLS, or member of pg_monitor, pg_read_all_data or pg_signal_backend. Persons get a warning.'),
    ('auto_resolve.min_severity', '"HIGH"', 'auto_resolve_blocking leaves alone what is less severe.'),
    ('auto_resolve.max_per_run', '5', 'Sessions that one run of auto_resolve_blocking stops at most; never over 5.'),
    ('auto_resolve.grace_seconds', '10', 'How long a cancelled statement has before its session is terminated.'),
    ('policy.second_person', '"auto"',
     'Arming a policy needs another person than its last editor: auto (where there are two such people), always, never.'),
    ('policy.dry_run_hours', '24', 'A dry run of this length is evidence enough to arm a policy without a back-test.'),
    ('policy.backtest_valid_days', '30', 'How old the back-test that a policy is armed on may be.')
ON CONFLICT (name) DO NOTHING;
