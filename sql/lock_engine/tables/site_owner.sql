CREATE TABLE IF NOT EXISTS lock_engine.site_owner (
    kind        text NOT NULL CHECK (kind IN ('schema', 'relation')),
    schema_name text NOT NULL,
    object_name text NOT NULL,
    owner_name  text NOT NULL,
    PRIMARY KEY (kind, schema_name, object_name)
);

COMMENT ON TABLE lock_engine.site_owner IS
    'Who owned the site''s schemas and tables that the install took over: they are given back when the product is removed.';

INSERT INTO lock_engine.site_owner (kind, schema_name, object_name, owner_name)
SELECT t.kind, t.schema_name, t.object_name, t.owner_name FROM pg_temp.lockmon_taken AS t
ON CONFLICT (kind, schema_name, object_name) DO NOTHING;
