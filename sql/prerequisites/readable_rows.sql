-- Earlier releases stored what sessions of databases in other encodings showed as it was: bytes that no client can be told
-- and no dump restores. They become \xNN, as lock_catalog.readable() writes them since. Only values that are not valid are
-- touched; the product's own triggers (append-only logs, row versions) stand aside for that.
DO $readable_rows$
DECLARE
    v_table record;
    v_triggers record;
    v_found boolean;
BEGIN
    IF current_setting('one_vault.unproven_text') = 'no' THEN
        RETURN;
    END IF;
    FOR v_table IN
        SELECT c.oid::regclass AS relation,
               string_agg(format('%I::text', a.attname), ', ') AS texts,
               string_agg(format(
                   CASE WHEN a.atttypid IN ('json'::regtype, 'jsonb'::regtype)
                            THEN '%1$I = CASE WHEN lock_catalog.is_readable(%1$I::text) THEN %1$I ELSE '
                                 'lock_catalog.readable_bytes(lock_catalog.bytes_of(%1$I::text), getdatabaseencoding(), true)::%2$s END'
                        WHEN t.typcategory = 'A'
                            THEN '%1$I = CASE WHEN lock_catalog.is_readable(%1$I::text) THEN %1$I ELSE '
                                 'ARRAY(SELECT CASE WHEN lock_catalog.is_readable(e.value) THEN e.value ELSE lock_catalog.readable(e.value) END'
                                 ' FROM unnest(%1$I) WITH ORDINALITY AS e (value, n) ORDER BY e.n)::%2$s END'
                        ELSE '%1$I = CASE WHEN lock_catalog.is_readable(%1$I::text) THEN %1$I ELSE '
                             'lock_catalog.readable(%1$I::text)::%2$s END' END,
                   a.attname, format_type(a.atttypid, a.atttypmod)), ', ') AS changes
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
        WHERE c.relkind = 'r'
          AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'name'::regtype, 'json'::regtype,
                             'jsonb'::regtype, 'text[]'::regtype, 'varchar[]'::regtype)
          AND (n.nspname IN ('lock_engine', 'lock_log', 'lock_admin')
               -- in schemas that a site may have had: our tables, and partitions of them
               OR (n.nspname IN ('lock_monitoring', 'monitoring')
                   AND (c.relowner IN ('lock_vault_owner'::regrole, 'lock_door_owner'::regrole)
                        OR EXISTS (SELECT 1 FROM pg_catalog.pg_attribute AS s
                                   WHERE s.attrelid = c.oid AND s.attname = 'satellite_id' AND NOT s.attisdropped))))
        GROUP BY c.oid
        ORDER BY c.oid::regclass::text
    LOOP
        BEGIN
            -- one pass without a call for each row: most tables hold none
            EXECUTE format('SELECT EXISTS (SELECT 1 FROM ONLY %s HAVING count(convert_to(concat_ws(E''\n'', %s), ''UTF8'')) < 0)',
                           v_table.relation, v_table.texts) INTO v_found;
            CONTINUE;
        EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
            NULL;
        END;
        SELECT t.aside, t.back INTO v_triggers FROM lock_engine.triggers_aside(v_table.relation) AS t;
        EXECUTE v_triggers.aside;
        EXECUTE format('UPDATE ONLY %s SET %s WHERE NOT lock_catalog.is_readable(concat_ws(E''\n'', %s))',
                       v_table.relation, v_table.changes, v_table.texts);
        EXECUTE v_triggers.back;
    END LOOP;
END
$readable_rows$;
