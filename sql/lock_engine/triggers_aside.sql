-- For an update that puts rows right: the site's triggers have no part in it. Those that are disabled already stay so.
CREATE OR REPLACE FUNCTION lock_engine.triggers_aside(p_table regclass, OUT aside text, OUT back text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  SELECT coalesce(string_agg(format('ALTER TABLE %s DISABLE TRIGGER %I', p_table, t.tgname), '; '), ''),
         coalesce(string_agg(format('ALTER TABLE %s ENABLE %s TRIGGER %I', p_table,
                                    CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, t.tgname), '; '), '')
    INTO aside, back
    FROM pg_trigger t
   WHERE t.tgrelid = p_table AND NOT t.tgisinternal AND t.tgenabled <> 'D';
END
$$;
COMMENT ON FUNCTION lock_engine.triggers_aside(regclass) IS
  'Statements that disable the triggers of a table and that enable them as they were; empty where it has none.';
