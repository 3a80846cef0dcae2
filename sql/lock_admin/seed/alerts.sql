INSERT INTO lock_admin.setting (name, value, description) VALUES
    ('alerts.interval_seconds', '3', 'How often alerts are evaluated; 1 to 10.'),
    ('alerts.query_timeout_seconds', '2', 'How long the query of one alert may take; 1 to 5. Then the alert is in error.'),
    ('alerts.max_messages_per_minute', '10', 'Messages to one recipient in a minute; the rest is told in one summary.'),
    ('alerts.literals_to', '[]', 'Recipients whose messages show queries with their literals; everybody else sees ? instead.')
ON CONFLICT (name) DO NOTHING;
