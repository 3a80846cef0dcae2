-- Only what is on the list of kinds is stopped without a person.
CREATE OR REPLACE FUNCTION lock_admin.is_automatic_kind(p_kind text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (SELECT 1 FROM lock_engine.blocker_kinds() AS k WHERE k.kind = p_kind AND k.automatic)
$$;
COMMENT ON FUNCTION lock_admin.is_automatic_kind(text) IS
  'May a policy or auto_resolve_blocking() stop blockers of this kind (lock_engine.blocker_kinds())? A kind that is not known: no.';
