INSERT INTO lock_admin.setting (name, value, description) VALUES
    ('retention.budget_seconds', '20',
     'How long one call of lock_monitoring.cleanup_old_data works at most, as it is one transaction; 1 to 3600. Its last line says what is left.')
ON CONFLICT (name) DO NOTHING;
