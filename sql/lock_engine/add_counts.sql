CREATE OR REPLACE FUNCTION lock_engine.add_counts(p_one jsonb, p_other jsonb)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(jsonb_object_agg(s.key, s.sum), '{}')
    FROM (SELECT e.key, sum(e.value::bigint) AS sum
            FROM (SELECT * FROM jsonb_each_text(coalesce(p_one, '{}')) UNION ALL SELECT * FROM jsonb_each_text(coalesce(p_other, '{}'))) e
           GROUP BY e.key) s
$$;
COMMENT ON FUNCTION lock_engine.add_counts(jsonb, jsonb) IS 'The sum of two objects of counts, key by key.';
