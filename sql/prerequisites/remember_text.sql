-- Whether the release before let text into the vault that nobody had proven to be text: then step 8 makes it readable
-- (prerequisites/readable_rows.sql), once.
SELECT set_config('one_vault.unproven_text',
                  CASE WHEN to_regprocedure('lock_catalog.readable(text)') IS NULL THEN 'yes' ELSE 'no' END, true);
