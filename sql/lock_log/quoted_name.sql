-- The last quote of a message is the one behind its name, and tells what stands before it: Spanish has words in other quotes, and a
-- name may hold quotes of any kind.
CREATE OR REPLACE FUNCTION lock_log.quoted_name(p_text text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_last text := substring(p_text FROM '.*([' || lock_log.quotes() || '])');
  v_first text;
BEGIN
  v_first := CASE
    WHEN v_last = '"' THEN '"'
    WHEN v_last = lock_log.letter('\xc2bb') THEN lock_log.letter('\xc2ab')
    WHEN v_last = lock_log.letter('\xc2ab') THEN lock_log.letter('\xc2bb')
    ELSE lock_log.letter('\xe2809e') || lock_log.letter('\xe2809c') || lock_log.letter('\xe2809d') END;
  -- where an encoding lacks a language's quotes, the C library writes two of < or > for each
  RETURN btrim(coalesce(substring(p_text FROM '^[^<>' || lock_log.quotes() || ']*(?:<<|>>)(.*)(?:<<|>>)'),
                        substring(p_text FROM '[' || v_first || '](.*)' || v_last)),
               -- French has blanks within its quotes, also those that do not break
               ' ' || lock_log.letter('\xc2a0'));
END
$$;
COMMENT ON FUNCTION lock_log.quoted_name(text) IS
  'What a message of any language has between quotes as a name: up to the last of them, from the first that belongs to it; NULL if there is none.';
