-- ascii() tells the code point in a UTF8 database only.
CREATE OR REPLACE FUNCTION lock_catalog.code_point(p_utf8 bytea)
RETURNS integer
LANGUAGE sql
IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE length(p_utf8)
    WHEN 1 THEN get_byte(p_utf8, 0)
    WHEN 2 THEN ((get_byte(p_utf8, 0) & 31) << 6) | (get_byte(p_utf8, 1) & 63)
    WHEN 3 THEN ((get_byte(p_utf8, 0) & 15) << 12) | ((get_byte(p_utf8, 1) & 63) << 6) | (get_byte(p_utf8, 2) & 63)
    ELSE ((get_byte(p_utf8, 0) & 7) << 18) | ((get_byte(p_utf8, 1) & 63) << 12) | ((get_byte(p_utf8, 2) & 63) << 6)
         | (get_byte(p_utf8, 3) & 63) END
$$;
COMMENT ON FUNCTION lock_catalog.code_point(bytea) IS 'The Unicode code point of one character in UTF-8.';
