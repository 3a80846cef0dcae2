-- Query text with its constants replaced by ?: what people may see who may not see data, and what a fingerprint is
-- taken of. Works on text cut in the middle of a literal: what follows an unclosed quote is hidden, and so is all
-- that follows a tagged dollar quote. Comments go too, because applications write identifiers of users into them.
-- One pass finds identifiers, comments and strings, so that a quote inside one of them opens nothing else; no
-- non-greedy operators, because PostgreSQL's alternation is always greedy.
CREATE OR REPLACE FUNCTION lock_engine.hide_literals(p_query text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
STRICT
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  RETURN regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
           translate(left(p_query, 20000), E'\x01', ''),
           '("(?:[^"]|"")*(?:"|$))'
           '|(/\*(?:[^*]|\*+[^*/])*(?:\*+/|\**$)|--[^\n]*)'
           '|\m[eE]''(?:[^''\\]|''''|\\.)*(?:''|\\?$)'
           '|''(?:[^'']|'''')*(?:''|$)'
           '|\$[A-Za-z_]\w*\$.*'
           '|\$\$(?:[^$]|\$[^$])*(?:\$\$|\$?$)',
           E'\\1\\2\x01', 'g'),
         E'(?:/\\*(?:[^*\x01]|\\*+[^*/\x01])*(?:\\*+/)?|--[^\n\x01]*)\x01', ' ', 'g'),
         E'("(?:[^"]|"")*"?)\x01', '\1', 'g'),
         E'\x01', '?', 'g'),
         '(^|[^\w$".])[-+]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+)(?!\w)', '\1?', 'g');
END
$function$;
COMMENT ON FUNCTION lock_engine.hide_literals(text) IS
  'The query with string, number and dollar-quoted constants replaced by ? and without comments. Never raises.';
