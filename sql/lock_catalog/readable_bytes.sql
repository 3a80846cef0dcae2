-- Bytes in an encoding that nobody vouches for, as text of this database: the characters that they are, and \xNN for each byte
-- that is part of none, or of one that cannot be told to a client. Of UTF-8 bytes in a database of another encoding the
-- characters that it lacks are \uNNNN.
-- No two become one: where there is such a byte, a backslash before x and two digits becomes \x5C, and two or more of 0-9A-F
-- right behind such a byte become \xNN, too; elsewhere only a backslash that could be taken for one of ours does, which a
-- longer constant such as '\xDEADBEEF' cannot.
-- All of it is done on bytea's escapes (\303\251), which are ASCII whatever the bytes are. In JSON a backslash is two.
CREATE OR REPLACE FUNCTION lock_catalog.readable_bytes(p_bytes bytea, p_encoding name, p_json boolean)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_high constant text := E'\\\\(?:24[1-7]|2[5-7][0-7]|3[0-6][0-7]|37[0-6])';
  v_pair constant text := v_high || v_high;
  -- what may be one character that is not ASCII
  v_character constant text := CASE
    WHEN p_encoding = 'UTF8' THEN
      E'\\\\3(?:0[2-7]|[123][0-7])\\\\2[0-7]{2}|\\\\340\\\\2[4-7][0-7]\\\\2[0-7]{2}'
      || E'|\\\\3(?:4[1-46-7]|5[0-467])(?:\\\\2[0-7]{2}){2}|\\\\355\\\\2[0-3][0-7]\\\\2[0-7]{2}'
      || E'|\\\\360\\\\2[2-7][0-7](?:\\\\2[0-7]{2}){2}|\\\\36[123](?:\\\\2[0-7]{2}){3}|\\\\364\\\\2[01][0-7](?:\\\\2[0-7]{2}){2}'
    WHEN p_encoding = 'EUC_TW' THEN E'(?:\\\\216\\\\2(?:4[1-7]|50))?' || v_pair
    WHEN p_encoding LIKE 'EUC%' THEN E'\\\\216' || v_high || E'|(?:\\\\217)?' || v_pair
    ELSE E'\\\\[23][0-7]{2}' END;
  v_backslash constant text := CASE WHEN p_json THEN E'\\\\\\\\' ELSE E'\\\\' END;
  v_escaped text;
  v_text text;
  v_lacking text[] := '{}';
BEGIN
  v_text := convert_from(p_bytes, p_encoding);
  PERFORM convert_to(v_text, 'UTF8');
  RETURN CASE WHEN strpos(v_text, E'\\x') = 0 THEN v_text
              ELSE regexp_replace(v_text, v_backslash || '(?=x(?:[89A-F][0-9A-F]|5C)(?![0-9A-F]{2}))', v_backslash || 'x5C', 'g') END;
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
  v_escaped := encode(p_bytes, 'escape');
  IF p_encoding <> 'UTF8' OR getdatabaseencoding() <> 'UTF8' THEN
    FOR v_text IN SELECT DISTINCT m.parts[1] FROM regexp_matches(v_escaped, '(' || v_character || E')|\\\\\\\\', 'g') m(parts)
                   WHERE m.parts[1] IS NOT NULL LOOP
      BEGIN
        PERFORM convert_to(convert_from(decode(v_text, 'escape'), p_encoding), 'UTF8');
      EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
        v_lacking := v_lacking || v_text;
      END;
    END LOOP;
  END IF;
  RETURN (
    SELECT convert_from(decode(string_agg(
             CASE WHEN x.mark AND x.is_character AND p_encoding = 'UTF8' THEN
                    v_backslash || 'u' || lpad(upper(to_hex(lock_catalog.code_point(decode(x.token, 'escape')))), 4, '0')
                  WHEN x.mark OR x.after_mark AND x.token ~ '^[0-9A-F]{2}' THEN
                    regexp_replace(upper(encode(decode(x.marked, 'escape'), 'hex')), '(..)', replace(v_backslash, E'\\', E'\\\\') || E'x\\1', 'g')
                    || substr(x.token, length(x.marked) + 1)
                  WHEN x.token = v_backslash AND x.next ~ '^x[0-9A-F]{2}' THEN v_backslash || 'x5C'
                  ELSE x.token END, '' ORDER BY x.n), 'escape'), p_encoding)
      FROM (
        SELECT t.*, CASE WHEN t.mark THEN t.token ELSE substring(t.token FROM '^[0-9A-F]+') END AS marked,
               lead(t.token) OVER w AS next, lag(t.mark) OVER w AS after_mark
          FROM (
            SELECT m.n, coalesce(m.parts[1], m.parts[2], m.parts[3]) AS token, m.parts[1] IS NOT NULL AS is_character,
                   coalesce(m.parts[2] IS NOT NULL OR m.parts[1] = ANY (v_lacking), false) AS mark
              FROM regexp_matches(v_escaped, '(' || v_character || E')|(\\\\[23][0-7]{2})|('
                                  || replace(v_backslash, E'\\', E'\\\\') || E'|\\\\\\\\|[^\\\\]+)', 'g')
                   WITH ORDINALITY m(parts, n)) t
        WINDOW w AS (ORDER BY t.n)) x);
END
$$;
COMMENT ON FUNCTION lock_catalog.readable_bytes(bytea, name, boolean) IS
  'Bytes, taken as p_encoding, as text that is valid here and for every client: \xNN for a byte that is no character, \uNNNN for '
  'a character that this database''s encoding lacks. p_json: the bytes are JSON and stay it.';
