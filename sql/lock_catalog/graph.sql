-- The waits-for graph as a view, which also gives its row a name: functions pass lock_catalog.graph[] around.
CREATE OR REPLACE VIEW lock_catalog.graph AS SELECT w.* FROM lock_catalog.waits_for() w;
COMMENT ON VIEW lock_catalog.graph IS 'lock_catalog.waits_for() as a view: who waits for whom now.';
