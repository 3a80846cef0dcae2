-- Each function that runs with its owner's rights begins with this. A dump that is restored where that owner is missing gives
-- its functions to whoever restores, mostly a superuser; REVOKE stands in the dump in one statement with GRANTs to other
-- missing roles, so that pg_restore leaves them to PUBLIC as well. Such a function does nothing until the install has given
-- it its owner.
CREATE OR REPLACE FUNCTION lock_engine.require_owner(p_owner name)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF current_user <> p_owner THEN
    RAISE EXCEPTION 'This function of the lock monitor works as % only, and it would run as %: the database was restored without that role, or somebody changed the owner. Nothing was done: install again (manage.py lockmon_deploy, or psql with both step files).',
      p_owner, current_user USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.require_owner(name) IS
  'Internal: refuses to go on as any other role. First statement of every function that runs with its owner''s rights.';
