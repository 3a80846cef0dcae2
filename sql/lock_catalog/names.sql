-- lock_catalog.names: what the objects are called that somebody waits for, and the tables of the rows that somebody queues for: of
-- this database and of the shared catalogs, as others have their names elsewhere.
CREATE OR REPLACE VIEW lock_catalog.names AS
SELECT o.database_oid, o.classid, o.objid, o.objsubid,
       lock_catalog.readable(c.nspname::text) AS schema_name,
       lock_catalog.readable(c.relname::text) AS relation_name,
       c.relkind,
       CASE WHEN o.classid IS NOT NULL THEN lock_catalog.described_object(o.database_oid, o.classid, o.objid, o.objsubid) END AS described
  FROM (SELECT DISTINCT l.database AS database_oid, l.classid, coalesce(l.relation, l.objid) AS objid, l.objsubid, l.relation
          FROM pg_catalog.pg_lock_status() l
         WHERE (NOT l.granted AND (l.locktype = 'object' OR l.relation IS NOT NULL)) OR l.locktype = 'tuple') o
  LEFT JOIN LATERAL (SELECT x.relname, x.relkind, n.nspname
                       FROM pg_catalog.pg_class x JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace
                      WHERE x.oid = o.relation
                        AND o.database_oid IN (0, (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))
                     OFFSET 0) c ON true;
COMMENT ON VIEW lock_catalog.names IS
  'Names of the objects that are waited for now: of a relation (classid NULL) schema, name and kind; of any other object how lock_catalog.described_object() '
  'describes it. Columns are NULL for another database''s. See lock_catalog.graph_given().';
