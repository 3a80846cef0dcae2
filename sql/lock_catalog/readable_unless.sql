-- Inlined into the view that shows sessions: most texts are valid and hold nothing that could be taken for a byte of ours.
CREATE OR REPLACE FUNCTION lock_catalog.readable_unless(p_text text, p_valid boolean)
RETURNS text
LANGUAGE sql
STABLE
AS $$
  SELECT CASE WHEN p_valid AND pg_catalog.strpos(p_text, E'\\x') OPERATOR(pg_catalog.=) 0 THEN p_text
              ELSE lock_catalog.readable(p_text) END
$$;
COMMENT ON FUNCTION lock_catalog.readable_unless(text, boolean) IS
  'lock_catalog.readable(), without its price where the text is known to be valid (p_valid).';
