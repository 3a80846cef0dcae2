-- Whether the release before took a failed transaction for a wait that was cancelled: then step 8 looks at what it recorded
-- (prerequisites/proven_endings.sql), once.
SELECT set_config('one_vault.guessed_endings',
                  CASE WHEN to_regprocedure('lock_engine.waits_not_served(jsonb)') IS NULL THEN 'yes' ELSE 'no' END, true);
