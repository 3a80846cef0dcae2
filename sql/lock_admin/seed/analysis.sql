INSERT INTO lock_admin.setting (name, value, description) VALUES
    ('analysis.business_hours', '{"days": [1, 2, 3, 4, 5], "from": "08:00", "to": "18:00"}',
     'Business hours of the analysis, in the server''s time zone; days 1 (Monday) to 7; null: unknown.'),
    ('analysis.maintenance_hours', 'null',
     'Maintenance window of the analysis, written like analysis.business_hours; null: none is known.')
ON CONFLICT (name) DO NOTHING;
