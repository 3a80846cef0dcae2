-- Does an error end this statement, whatever it calls? PL/pgSQL may catch the error of a wait and go on, or wait again: a statement that
-- can call it (DO, CALL, EXECUTE, a function, several statements in one text) tells by going on nothing about its wait. Of those that change
-- rows or take locks themselves only a trigger's function could. A text that is not known, or is cut, may be anything.
CREATE OR REPLACE FUNCTION lock_engine.fails_as_a_whole(p_query text)
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_text text := rtrim(regexp_replace(left(p_query, 2000), '^(\s|--[^\n]*\n|/\*([^*]|\*+[^*/])*\*+/)+', ''), E' \n\t\r;');
BEGIN
  RETURN coalesce(strpos(v_text, ';') = 0
    AND (v_text ~* '^(insert|update|delete|merge|lock|alter|create|drop|truncate|reindex|vacuum|cluster|analyze|refresh|comment|grant|revoke)\M'
         -- rows locked by a SELECT that calls nothing
         OR v_text ~* '^select\M.*\mfor\s+(no\s+key\s+)?(update|share|key\s+share)\M' AND v_text !~ '\w\s*\(' 
         OR v_text ~* '^select\s+(pg_catalog\.)?pg_advisory_(xact_)?lock(_shared)?\s*\([^()]*\)$'), false);
END
$$;
COMMENT ON FUNCTION lock_engine.fails_as_a_whole(text) IS
  'Whether a statement cannot have gone on after an error of its own: then that it goes on proves that it got the lock it waited for.';
