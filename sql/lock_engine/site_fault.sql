-- The site's tables belong to others, who could have their code run by whoever touches them. PostgreSQL runs it while it reads a
-- view, and already while it plans a query on a table: expressions of indexes, checks, statistics and generated columns.
-- (Policies are kept out by row_security = off; triggers and rules of other commands are not run by reading.) Functions in C
-- and of PostgreSQL itself are a superuser's, so they are nobody's trap.
CREATE OR REPLACE FUNCTION lock_engine.site_fault(p_table text, p_columns text[], p_oid oid DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
-- planned once, not with each table anew: that cost nine milliseconds a cycle
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  -- FirstNormalObjectId: what initdb made is below
  c_first constant oid := 16384;
  v_table oid := coalesce(p_oid, lock_engine.site_table(p_table));
  v_kind "char";
  v_column text;
  v_found text;
  v_kind_of oid;
  v_id oid;
BEGIN
  IF v_table IS NULL THEN
    RETURN format('%s does not exist', p_table);
  END IF;
  SELECT c.relkind INTO v_kind FROM pg_class c WHERE c.oid = v_table;
  IF v_kind <> 'r' THEN
    RETURN format('%s is %s, not a plain table', p_table,
                  CASE v_kind WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'f' THEN 'a foreign table'
                              WHEN 'p' THEN 'a partitioned table' ELSE 'no table' END);
  END IF;
  FOREACH v_column IN ARRAY p_columns LOOP
    SELECT CASE WHEN a.attgenerated NOT IN ('', 's') THEN 'is generated when it is read'
                WHEN a.atttypid <> ALL (CASE WHEN v_column LIKE '%\_hk' THEN ARRAY['bytea'::regtype::oid]
                                             ELSE ARRAY['text'::regtype::oid, 'varchar'::regtype::oid] END)
                THEN format('is of type %s, not %s', format_type(a.atttypid, NULL),
                            CASE WHEN v_column LIKE '%\_hk' THEN 'bytea' ELSE 'text or varchar' END)
                ELSE '' END
      INTO v_found
      FROM pg_attribute a WHERE a.attrelid = v_table AND a.attname = v_column AND a.attnum > 0 AND NOT a.attisdropped;
    IF NOT FOUND THEN
      RETURN format('%s has no column %s', p_table, v_column);
    ELSIF v_found <> '' THEN
      RETURN format('column %s of %s %s', v_column, p_table, v_found);
    END IF;
  END LOOP;
  -- nearly always there are none
  FOR v_kind_of, v_id IN
    SELECT 'pg_class'::regclass::oid, i.indexrelid FROM pg_index i
     WHERE i.indrelid = v_table AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
    UNION ALL
    SELECT 'pg_constraint'::regclass::oid, k.oid FROM pg_constraint k WHERE k.conrelid = v_table AND k.contype IN ('c', 'x')
    UNION ALL
    SELECT 'pg_statistic_ext'::regclass::oid, e.oid FROM pg_statistic_ext e WHERE e.stxrelid = v_table
    UNION ALL
    SELECT 'pg_attrdef'::regclass::oid, f.oid FROM pg_attrdef f
     WHERE f.adrelid = v_table
       AND (SELECT a.attgenerated <> '' FROM pg_attribute a WHERE a.attrelid = f.adrelid AND a.attnum = f.adnum)
    UNION ALL
    -- before 15 what a generated column depends on is written down with the column
    SELECT 'pg_class'::regclass::oid, v_table WHERE EXISTS (
      SELECT FROM pg_attribute a WHERE a.attrelid = v_table AND a.attnum > 0 AND a.attgenerated <> '')
    UNION ALL
    -- with constraint_exclusion = on the key of a table that this one is a part of is planned with it; none has this table's columns
    SELECT 'pg_class'::regclass::oid, u.above FROM (
      WITH RECURSIVE up AS (
        SELECT i.inhparent AS above FROM pg_inherits i WHERE i.inhrelid = v_table
        UNION SELECT i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.above)
      SELECT up.above FROM up JOIN pg_class c ON c.oid = up.above WHERE c.relkind = 'p') u
  LOOP
    IF EXISTS (
      SELECT FROM pg_depend d
       WHERE d.classid = v_kind_of AND d.objid = v_id AND d.refobjid >= c_first
         AND (v_id <> v_table OR d.objsubid IN (
           SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = v_table AND a.attnum > 0 AND a.attgenerated <> ''))
         AND CASE d.refclassid
               WHEN 'pg_proc'::regclass THEN NOT lock_engine.is_compiled(d.refobjid)
               WHEN 'pg_operator'::regclass THEN NOT lock_engine.is_compiled((SELECT r.oprcode FROM pg_operator r WHERE r.oid = d.refobjid))
               WHEN 'pg_type'::regclass THEN (SELECT coalesce(e.typtype, t.typtype) NOT IN ('b', 'e') FROM pg_type t
                                                LEFT JOIN pg_type e ON e.oid = t.typelem WHERE t.oid = d.refobjid)
               ELSE false END) THEN
      RETURN format('%s has %s, which runs code that somebody made here', p_table, pg_describe_object(v_kind_of, v_id, 0));
    END IF;
  END LOOP;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION lock_engine.site_fault(text, text[], oid) IS
  'Why this table of the site''s is not to be touched: it is no plain table with these columns (.._hk bytea, others text or varchar), or '
  'planning a query on it would run code that others made. NULL: it may be read with row_security = off. '
  'p_oid: that table, whatever its name is; p_table is what it is called then.';
