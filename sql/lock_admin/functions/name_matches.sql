CREATE OR REPLACE FUNCTION lock_admin.name_matches(p_name text, p_patterns text[])
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT p_name IS NOT NULL AND EXISTS (
    SELECT 1 FROM unnest(p_patterns) AS p(pattern)
     WHERE lower(p_name) LIKE replace(replace(replace(replace(lower(p.pattern), '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'))
$$;
COMMENT ON FUNCTION lock_admin.name_matches(text, text[]) IS
  'Does the name match one of the patterns? * stands for anything, nothing else is special, case does not matter.';
