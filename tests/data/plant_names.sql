-- Makes in a schema whatever ours could name, each writing down who runs it; tests/support/minefield.py runs it.
CREATE OR REPLACE PROCEDURE pg_temp.plant(p_schema text, p_words text[], INOUT made integer DEFAULT 0)
LANGUAGE plpgsql SET search_path = pg_catalog AS $plant$
DECLARE
  v record;
  v_statements text[];
  v_statement text;
  v_number integer := 0;
BEGIN
  FOR v IN
    SELECT format('%1$s %2$s', CASE x.kind WHEN 'o' THEN 'operator' WHEN 'f' THEN 'function' WHEN 'r' THEN 'relation'
                                           WHEN 't' THEN 'type' ELSE 'aggregate' END, x.name) AS what, x.*
      FROM (
        -- every operator there is
        SELECT 'o' AS kind, o.oprname::text AS name,
               ARRAY[CASE WHEN o.oprleft <> 0 THEN format_type(o.oprleft, NULL) END, format_type(o.oprright, NULL)] AS arguments,
               format_type(o.oprresult, NULL) AS result, false AS is_set
          FROM pg_operator o WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprright <> 0
        UNION ALL
        -- functions that ours name, and ours
        SELECT CASE p.prokind WHEN 'f' THEN 'f' WHEN 'p' THEN 'p' ELSE 'a' END, p.proname,
               ARRAY(SELECT format_type(a.type, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, place) ORDER BY a.place),
               format_type(p.prorettype, NULL), p.proretset
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE p.prokind <> 'w' AND p.provariadic = 0
           AND (n.nspname ~ '^(lock_(monitoring|catalog|engine|admin|log)|monitoring|util)$'
                OR (n.nspname = 'pg_catalog' AND p.proname = ANY (p_words)))
        UNION ALL
        SELECT 'r', c.relname, NULL, n.nspname, false
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v')
           AND (n.nspname ~ '^(lock_(monitoring|catalog|engine|admin|log)|monitoring|auth|onevault_web)$'
                OR (n.nspname = 'pg_catalog' AND c.relname = ANY (p_words)))
        UNION ALL
        SELECT 't', t.typname, NULL, NULL, false
          FROM pg_type t WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype = 'b' AND t.typelem = 0
           AND t.typname = ANY (p_words)) AS x
  LOOP
    v_number := v_number + 1;
    v_statements := CASE
      WHEN v.kind = 'o' THEN ARRAY[
        format('CREATE FUNCTION %I.op_%s(%s) RETURNS %s LANGUAGE plpgsql IMMUTABLE AS %L', p_schema, v_number,
               array_to_string(v.arguments, ', '), v.result, format('BEGIN PERFORM trap.spy(%L); RETURN NULL; END', v.what)),
        format('CREATE OPERATOR %I.%s (%sRIGHTARG = %s, FUNCTION = %I.op_%s)', p_schema, v.name,
               coalesce('LEFTARG = ' || v.arguments[1] || ', ', ''), v.arguments[2], p_schema, v_number)]
      WHEN v.kind = 'f' THEN ARRAY[
        format('CREATE FUNCTION %I.%I(%s) RETURNS %s%s LANGUAGE plpgsql AS %L', p_schema, v.name, array_to_string(v.arguments, ', '),
               CASE WHEN v.is_set THEN 'SETOF ' ELSE '' END, v.result,
               format('BEGIN PERFORM trap.note(%L); RETURN%s; END', v.what,
                      CASE WHEN v.is_set OR v.result = 'void' THEN '' ELSE ' NULL' END))]
      WHEN v.kind = 'p' THEN ARRAY[
        format('CREATE PROCEDURE %I.%I(%s) LANGUAGE plpgsql AS %L', p_schema, v.name, array_to_string(v.arguments, ', '),
               format('BEGIN PERFORM trap.note(%L); END', v.what))]
      WHEN v.kind = 'a' THEN ARRAY[
        format('CREATE FUNCTION %I.step_%s(%s) RETURNS text LANGUAGE plpgsql AS %L', p_schema, v_number,
               array_to_string('text'::text || v.arguments, ', '), format('BEGIN PERFORM trap.note(%L); RETURN NULL; END', v.what)),
        format('CREATE AGGREGATE %I.%I(%s) (SFUNC = %I.step_%s, STYPE = text)', p_schema, v.name,
               coalesce(nullif(array_to_string(v.arguments, ', '), ''), '*'), p_schema, v_number)]
      WHEN v.kind = 't' THEN ARRAY[
        format('CREATE DOMAIN %I.%I AS pg_catalog.%I CHECK (trap.spy(%L))', p_schema, v.name, v.name, v.what)]
      WHEN v.result = 'pg_catalog' THEN ARRAY[
        format('CREATE VIEW %I.%I AS SELECT * FROM pg_catalog.%I WHERE trap.note(%L)', p_schema, v.name, v.name, v.what),
        format('GRANT ALL ON %I.%I TO PUBLIC', p_schema, v.name)]
      -- ours: whatever is read or written there runs something
      ELSE ARRAY[
        format('CREATE VIEW %I.%I AS SELECT trap.note(%L) AS name', p_schema, v.name, v.what),
        format('CREATE RULE trap AS ON INSERT TO %I.%I DO INSTEAD SELECT trap.note(%L)', p_schema, v.name, v.what),
        format('GRANT ALL ON %I.%I TO PUBLIC', p_schema, v.name)] END;
    BEGIN
      FOREACH v_statement IN ARRAY v_statements LOOP
        EXECUTE v_statement;
      END LOOP;
      made := made + 1;
    EXCEPTION
      -- of a kind that no language takes, or two of ours that differ in their schema alone
      WHEN invalid_function_definition OR duplicate_table OR duplicate_function OR duplicate_object OR feature_not_supported
           OR undefined_function OR invalid_table_definition OR insufficient_privilege OR datatype_mismatch OR wrong_object_type THEN
        IF current_setting('plant.verbose', true) = 'on' THEN RAISE WARNING '%: %', v.what, SQLERRM; END IF;
    END;
  END LOOP;
END $plant$;
