-- Whether hours were added up by a release that reckoned what is lost behind a root as sessions times cycles: they stay as it recorded them, and
-- the page says so (prerequisites/settled_sums.sql).
SELECT set_config('one_vault.earlier_sums',
                  CASE WHEN to_regprocedure('lock_engine.wait_pieces(timestamptz,timestamptz)') IS NULL THEN 'yes' ELSE 'no' END, true);
