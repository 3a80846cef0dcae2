-- The first words of a statement, past comments (nested), blanks and parentheses; of WITH the words of the statement behind it. Statements
-- come from anyone and are cut: what does not become clear within the text is NULL.
CREATE OR REPLACE FUNCTION lock_catalog.leading_words(p_query text, p_count integer)
RETURNS text[]
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
  -- so much of it is looked at: the price of a text made to be dear grows with the square of this
  v_text constant text := left(p_query, 5000);
  v_token constant text :=
    '^(?:\s+|--[^\n\r]*|/\*|[Ee]''(?:[^''\\]|''''|\\.)*''|''(?:[^'']|'''')*''|"(?:[^"]|"")*"|\$(?:(?:[A-Za-z_]|[^\x01-\x7F])(?:\w|[^\x01-\x7F])*)?\$|(?:[A-Za-z_]|[^\x01-\x7F])(?:[\w$]|[^\x01-\x7F])*|\d+|.)';
BEGIN
  RETURN (
    WITH RECURSIVE
    -- A token a step, with what stood before it. Words are kept as places: texts are long.
    step (number, place, token, nested, depth, before, in_with, starts, lengths, ended, several) AS (
      SELECT 0, 1, substring(v_text FROM v_token), 0, 0, NULL::text, false, '{}'::integer[], '{}'::integer[], false, false
      UNION ALL
      SELECT s.number + 1, n.place,
             CASE WHEN n.nested > 0 THEN substring(substr(v_text, n.place) FROM '^.*?(?:/\*|\*/)') ELSE substring(substr(v_text, n.place) FROM v_token) END,
             n.nested,
             CASE WHEN n.what = 'with' THEN 0 WHEN n.what = 'blank' THEN s.depth WHEN s.token IN ('(', '[') THEN s.depth + 1
                  WHEN s.token IN (')', ']') THEN s.depth - 1 ELSE s.depth END,
             CASE WHEN n.what IN ('blank', 'end') THEN s.before ELSE lower(left(s.token, 10)) END,
             CASE n.what WHEN 'with' THEN true WHEN 'verb' THEN false ELSE s.in_with END,
             CASE n.what WHEN 'verb' THEN ARRAY[s.place] WHEN 'word' THEN s.starts || s.place ELSE s.starts END,
             CASE n.what WHEN 'verb' THEN ARRAY[n.length] WHEN 'word' THEN s.lengths || n.length ELSE s.lengths END,
             CASE WHEN n.what = 'end' THEN s.starts <> '{}' ELSE s.ended END,
             -- behind the first statement's end comes another one
             s.ended AND n.what NOT IN ('blank', 'end')
        FROM step s
       CROSS JOIN LATERAL (
         SELECT s.place + CASE WHEN s.nested > 0 OR s.token !~ '^\$.*\$$' THEN length(s.token)
                               -- a dollar-quoted string: to its end, or to that of the text
                               WHEN strpos(substr(v_text, s.place + length(s.token)), s.token) = 0 THEN length(v_text)
                               ELSE strpos(substr(v_text, s.place + length(s.token)), s.token) - 1 + 2 * length(s.token) END AS place,
                CASE WHEN s.nested = 0 AND s.token ~ '^\$.*\$$' THEN 1 ELSE length(s.token) END AS length,
                CASE WHEN s.nested = 0 THEN (s.token = '/*')::integer WHEN right(s.token, 2) = '/*' THEN s.nested + 1 ELSE s.nested - 1 END AS nested,
                CASE
                  WHEN s.nested > 0 OR s.token ~ '^(?:\s|--|/\*)' THEN 'blank'
                  WHEN s.token = ';' AND s.depth <= 0 THEN 'end'
                  -- (SELECT ...) is SELECT
                  WHEN s.starts = '{}' AND s.token IN ('(', '[') THEN 'open'
                  WHEN s.token ~ '^\$.*\$$' AND strpos(substr(v_text, s.place + length(s.token)), s.token) = 0 THEN 'cut'
                  WHEN s.in_with AND s.depth = 0 AND lower(s.token) IN ('select', 'insert', 'update', 'delete', 'merge', 'values', 'table')
                       -- what stands behind these is a query's name
                       AND s.before NOT IN ('with', 'recursive', ',') THEN 'verb'
                  WHEN s.in_with THEN 'inner'
                  WHEN s.starts = '{}' AND lower(s.token) = 'with' THEN 'with'
                  WHEN cardinality(s.starts) < p_count THEN 'word'
                  ELSE 'beyond' END AS what
         OFFSET 0) n
       WHERE s.token IS NOT NULL AND NOT s.several
         -- each statement must come to its end where there may be several
         AND (s.nested > 0 OR s.ended OR s.in_with OR cardinality(s.starts) < p_count OR strpos(substr(v_text, s.place), ';') > 0))
    SELECT ARRAY(SELECT lower(substr(v_text, u.start, u.length))
                   FROM unnest(s.starts, s.lengths) WITH ORDINALITY AS u (start, length, number) ORDER BY u.number)
      FROM (SELECT z.* FROM step z ORDER BY z.number DESC LIMIT 1) s
     WHERE NOT s.several AND s.nested = 0 AND NOT s.in_with AND s.starts <> '{}');
END
$body$;
COMMENT ON FUNCTION lock_catalog.leading_words(text, integer) IS
  'The first words of one statement, in lower case (a string as it is, a dollar-quoted one as $), past comments, blanks and opening parentheses; of WITH those of '
  'the statement behind it. NULL: empty, cut within a comment, or several statements.';
