-- Whether the release before kept no claimed tenants: then the recorded rows get theirs, once.
SELECT set_config('one_vault.without_claims',
                  CASE WHEN to_regprocedure('lock_engine.session_claim(text[],text,text,text,text)') IS NULL THEN 'yes' ELSE 'no' END, true);
