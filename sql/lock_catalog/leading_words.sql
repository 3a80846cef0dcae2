-- The first words of a statement, past comments (nested), blanks and parentheses; of WITH the words of the statement behind it. Statements
-- come from anyone and are cut: what does not become clear within the text is NULL.
CREATE OR REPLACE FUNCTION lock_catalog.leading_words(p_query text, p_count integer DEFAULT 12)
RETURNS text[]
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
  -- so much of it is looked at
  v_rest text := left(p_query, 20000);
  v_words text[] := '{}';
  v_token text;
  v_word text;
  v_before text;
  v_depth integer := 0;
  v_with boolean := false;
  v_ended boolean := false;
  v_nested integer;
  v_tag text;
BEGIN
  -- each statement must come to its end where there may be several
  WHILE v_rest <> '' AND (v_ended OR v_with OR cardinality(v_words) < p_count OR strpos(v_rest, ';') > 0) LOOP
    v_token := substring(v_rest FROM '^(?:\s+|--[^\n\r]*|/\*|[Ee]''(?:[^''\\]|''''|\\.)*''|''(?:[^'']|'''')*''|"(?:[^"]|"")*"|\$(?:(?:[A-Za-z_]|[^\x01-\x7F])(?:\w|[^\x01-\x7F])*)?\$|(?:[A-Za-z_]|[^\x01-\x7F])(?:[\w$]|[^\x01-\x7F])*|\d+|.)');
    v_rest := substr(v_rest, length(v_token) + 1);
    CONTINUE WHEN v_token ~ '^(?:\s|--)';
    IF v_token = '/*' THEN
      v_nested := 1;
      WHILE v_nested > 0 LOOP
        v_token := substring(v_rest FROM '^.*?(?:/\*|\*/)');
        IF v_token IS NULL THEN
          RETURN NULL;
        END IF;
        v_rest := substr(v_rest, length(v_token) + 1);
        v_nested := v_nested + CASE WHEN right(v_token, 2) = '/*' THEN 1 ELSE -1 END;
      END LOOP;
      CONTINUE;
    END IF;
    -- behind the first statement's end comes another one
    IF v_ended AND v_token <> ';' THEN
      RETURN NULL;
    END IF;
    IF v_token ~ '^\$.*\$$' THEN
      v_tag := v_token;
      IF strpos(v_rest, v_tag) = 0 THEN
        EXIT;
      END IF;
      v_rest := substr(v_rest, strpos(v_rest, v_tag) + length(v_tag));
      v_word := '$';
    ELSIF v_token = ';' AND v_depth <= 0 THEN
      v_ended := cardinality(v_words) > 0;
      CONTINUE;
    ELSIF v_token IN ('(', '[') THEN
      v_depth := v_depth + 1;
      v_before := v_token;
      -- (SELECT ...) is SELECT
      CONTINUE WHEN v_words = '{}';
      v_word := v_token;
    ELSIF v_token IN (')', ']') THEN
      v_depth := v_depth - 1;
      v_word := v_token;
    ELSE
      v_word := lower(v_token);
    END IF;
    IF v_words = '{}' AND v_word = 'with' THEN
      v_with := true;
      v_depth := 0;
    ELSIF v_with THEN
      -- what stands behind WITH, RECURSIVE or a comma is a query's name
      IF v_depth = 0 AND v_word IN ('select', 'insert', 'update', 'delete', 'merge', 'values', 'table') AND v_before NOT IN ('with', 'recursive', ',') THEN
        v_with := false;
        v_words := ARRAY[v_word];
      END IF;
    ELSIF cardinality(v_words) < p_count THEN
      v_words := v_words || v_word;
    END IF;
    v_before := v_word;
  END LOOP;
  RETURN CASE WHEN v_words <> '{}' AND NOT v_with THEN v_words END;
END
$body$;
COMMENT ON FUNCTION lock_catalog.leading_words(text, integer) IS
  'The first words of one statement, in lower case (a string as it is, a dollar-quoted one as $), past comments, blanks and opening parentheses; of WITH those of '
  'the statement behind it. NULL: empty, cut within a comment, or several statements.';
