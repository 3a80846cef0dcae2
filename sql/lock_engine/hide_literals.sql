-- Query text with its constants replaced by ?: what people may see who may not see data, and what a fingerprint is
-- taken of. lockmon/literals.py is the same rule in Python; tests/support/literals.py is the table of cases of both.
-- Works on text cut in the middle of a literal, and hides too much rather than too little: what follows an unclosed
-- quote or comment, a tagged dollar quote, or a \' that ends a string or not (standard_conforming_strings) is hidden.
-- Comments go too, because applications write identifiers of users into them; they nest, three deep, below that the rest
-- of the text goes. One pass finds names in quotes, comments, strings and numbers, so that a quote inside one of them
-- opens nothing else; of the alternatives PostgreSQL takes the longest, so none of them may reach into another token.
-- Values that are no constants (SET x TO token, PASSWORD) go in a second step, which sees no quote any more.
CREATE OR REPLACE FUNCTION lock_engine.hide_literals(p_query text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
STRICT
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  -- Not within a word: the character before is none of a name's. Every character beyond ASCII is, as in PostgreSQL.
  c_apart CONSTANT text := E'(?<![^\x01-#%-/:-@\\[-^`{-\x7f])';
  -- Inside a comment: anything that neither ends it nor begins another one.
  c_in CONSTANT text := '\*+[^*/]|/+[^*/]|[^*/]';
  c_closed_0 CONSTANT text := '/\*(?:' || c_in || ')*\*+/';
  c_closed_1 CONSTANT text := '/\*(?:' || c_in || '|/*' || c_closed_0 || ')*\*+/';
  c_closed_2 CONSTANT text := '/\*(?:' || c_in || '|/*' || c_closed_1 || ')*\*+/';
  c_closed_3 CONSTANT text := '/\*(?:' || c_in || '|/*' || c_closed_2 || ')*\*+/';
  -- A comment that the text ends in, or that nests deeper.
  c_open_0 CONSTANT text := '/\*(?:' || c_in || ')*(?:\**$|/+$|/*/\*.*)';
  c_open_1 CONSTANT text := '/\*(?:' || c_in || '|/*' || c_closed_0 || ')*(?:\**$|/+$|/*' || c_open_0 || ')';
  c_open_2 CONSTANT text := '/\*(?:' || c_in || '|/*' || c_closed_1 || ')*(?:\**$|/+$|/*' || c_open_1 || ')';
  c_open_3 CONSTANT text := '/\*(?:' || c_in || '|/*' || c_closed_2 || ')*(?:\**$|/+$|/*' || c_open_2 || ')';
  -- The name of a setting, which may have blanks around its dots, and all up to the end of a statement.
  c_part CONSTANT text := '(?:"[^"]*"|[^\s".=;,()])+';
  c_name CONSTANT text := c_part || '(?:\s*\.\s*' || c_part || ')*(?:\s*\muescape\s*\?)?';
  c_rest CONSTANT text := '(?:[^;"]|"[^"]*")*';
  -- In collation C words and blanks are the same in every database.
  v_text text COLLATE "C";
  v_comments integer;
BEGIN
  v_text := translate(left(p_query, 20000), E'\x01\x02', '');
  v_comments := (length(v_text) - length(replace(v_text, '/*', ''))) / 2;
  v_text := regexp_replace(v_text,
    -- The commonest first, and comments as deep as there can be some: each match costs what the pattern is long.
       c_apart || '[-+]?\.?[0-9][\w.]*(?:[eE][-+][0-9][\w.]*)?'
    || '|''(?:[^''\\]|''''|\\[^''])*(?:''|\\?$|\\''.*)'
    || '|("(?:[^"]|"")*")'
    || '|(--[^\n\r]*' || CASE v_comments WHEN 0 THEN '' WHEN 1 THEN '|' || c_closed_0 || '|' || c_open_0
                                       WHEN 2 THEN '|' || c_closed_1 || '|' || c_open_1
                                       WHEN 3 THEN '|' || c_closed_2 || '|' || c_open_2
                                       ELSE '|' || c_closed_3 || '|' || c_open_3 END || ')'
    || '|"(?:[^"]|"")*$'
    || '|' || c_apart || '[eE]''(?:[^''\\]|''''|\\.)*(?:''|\\?$)'
    || '|[eE][sS][cC][aA][pP][eE]\s*''\\''(?!'')'
    || '|\$[^$\s0-9''"(),;][^$\s''"(),;]*\$.*'
    || '|\$\$(?:[^$]|\$[^$])*(?:\$\$|\$?$)'
    || '|\$[0-9]{6,}',
    E'\\1\x02\\2\x01', 'g');
  -- What stands between the two marks was a comment; what ends with a quote before them was a name.
  IF strpos(v_text, E'\x02/*') > 0 OR strpos(v_text, E'\x02--') > 0 THEN
    v_text := regexp_replace(v_text, E'\x02[^\x01\x02]+\x01', ' ', 'g');
  END IF;
  v_text := replace(replace(v_text, E'"\x02\x01', '"'), E'\x02\x01', '?');
  IF v_text ~* '(?:^|;)\s*set\M|\mto\M|\midentified\M' THEN
    v_text := regexp_replace(v_text,
         '((?:(?:^|;)\s*set\M\s*(?:(?:session|local)\M\s*)?(?:' || c_name || '\s*(?:=|\mto\M)|time\s+zone\M|password\M)'
      || '|\mset\M\s*(?:(?:session|local)\M\s*)?' || c_name || '\s*\mto\M|\midentified\s+by\M)\s*)' || c_rest, '\1?', 'gi');
  END IF;
  IF v_text ~* '(?:^|;)\s*(?:alter|create|copy)\M' THEN
    v_text := regexp_replace(v_text,
         '((?:\mset\M\s*' || c_name || '\s*=|\mconnection\M|\mprogram\M)\s*)' || c_rest, '\1?', 'gi');
    v_text := regexp_replace(v_text, '(\moptions\s*\()(?:[^;)"]|"[^"]*")*', '\1?', 'gi');
    -- What follows a COPY from the client is its data, where a script was sent as one statement.
    v_text := regexp_replace(v_text, '((?:^|;)\s*copy\M[^;]*\mstdin\M[^;]*;\s*)\S.*', '\1?', 'i');
    IF v_text ~* '(?:^|;)\s*(?:alter|create)\s+(?:role|user|group)\M' THEN
      v_text := regexp_replace(v_text, '(\mpassword\M\s*)' || c_rest, '\1?', 'gi');
    END IF;
  END IF;
  RETURN v_text;
END
$function$;
COMMENT ON FUNCTION lock_engine.hide_literals(text) IS
  'The query with string, number and dollar-quoted constants, values of SET and passwords replaced by ? and without comments. Never raises.';
