-- Last of all: one row if this install changed a definition, none if it changed nothing.
INSERT INTO lock_engine.installation (catalog_hash)
SELECT h.now
FROM (SELECT lock_engine.catalog_hash() AS now) AS h
WHERE h.now IS DISTINCT FROM (
    SELECT i.catalog_hash FROM lock_engine.installation AS i ORDER BY i.installation_id DESC LIMIT 1);
