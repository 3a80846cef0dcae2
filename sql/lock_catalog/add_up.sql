-- What stands behind each class of a forest of waits: a class after all those behind it, p_ups the place of the class that
-- its blocker waits in (NULL: the blocker waits for nobody). One pass, whatever the depth.
CREATE OR REPLACE FUNCTION lock_catalog.add_up(
  p_ups integer[], p_members bigint[], p_begans timestamptz[], p_seconds numeric[])
RETURNS TABLE (place integer, total numeric, since timestamptz, seconds numeric)
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  FOR i IN 1 .. coalesce(array_length(p_ups, 1), 0) LOOP
    IF p_ups[i] IS NOT NULL THEN
      p_members[p_ups[i]] := p_members[p_ups[i]] + p_members[i];
      p_begans[p_ups[i]] := least(p_begans[p_ups[i]], p_begans[i]);
      p_seconds[p_ups[i]] := p_seconds[p_ups[i]] + p_seconds[i];
    END IF;
    place := i;
    total := p_members[i];
    since := p_begans[i];
    seconds := p_seconds[i];
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_catalog.add_up(integer[], bigint[], timestamptz[], numeric[]) IS
  'For each class of a forest of waits (leaves first): waiters, the longest wait''s beginning and seconds waited of it and all behind it.';
