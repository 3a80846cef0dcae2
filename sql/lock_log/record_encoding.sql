-- A server writes its messages in the encoding of the session's database, and the words of most languages are not ASCII. Which one a
-- record has is told by PostgreSQL's own words in it; where none is known it is taken as LATIN1, in which each byte is a character.
-- It serves to understand the record alone: a wrong guess costs what its words say. Names and texts are kept as the bytes that they
-- were (see lock_log.as_written()), because nobody can tell the encodings of Western Europe apart.
CREATE OR REPLACE FUNCTION lock_log.record_encoding(p_record text)
RETURNS name
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_encoding name;
BEGIN
  IF getdatabaseencoding() <> 'UTF8' OR lock_log.is_utf8(decode(p_record, 'escape')) THEN
    RETURN NULL;
  END IF;
  FOR v_encoding IN
    SELECT w.encoding FROM lock_log.words_of_encodings() WITH ORDINALITY w(word, encoding, n)
     WHERE strpos(p_record, w.word) > 0 GROUP BY w.encoding ORDER BY count(*) DESC, min(w.n)
  LOOP
    BEGIN
      PERFORM convert(decode(p_record, 'escape'), v_encoding, 'UTF8');
      RETURN v_encoding;
    EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
      -- these bytes are something else
      NULL;
    END;
  END LOOP;
  RETURN 'LATIN1';
END
$$;
COMMENT ON FUNCTION lock_log.record_encoding(text) IS
  'The encoding in which a record of the log (as bytea''s escapes) can be understood; NULL where that is UTF8, or this database is not in UTF8.';
