CREATE TABLE IF NOT EXISTS lock_engine.site_object (
    kind        text NOT NULL CHECK (kind IN ('schema', 'relation', 'function', 'role')),
    schema_name text NOT NULL,
    object_name text NOT NULL,
    PRIMARY KEY (kind, schema_name, object_name)
);

COMMENT ON TABLE lock_engine.site_object IS
    'What was here before the first install: it belongs to the site and is left alone when the product is removed.';

-- Only the first install knows; its own record of itself comes later in the same transaction.
INSERT INTO lock_engine.site_object (kind, schema_name, object_name)
SELECT b.kind, b.schema_name, b.object_name
FROM pg_temp.lockmon_before AS b
WHERE to_regclass('lock_engine.installation') IS NULL;
