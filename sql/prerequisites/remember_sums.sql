-- Whether hours were added up by a release that reckoned what is lost behind a root as sessions times cycles: they stay as it recorded them, and
-- the page says so (prerequisites/settled_sums.sql).
SELECT set_config('one_vault.earlier_sums',
                  CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_proc AS p
                                    WHERE p.pronamespace = to_regnamespace('lock_engine') AND p.proname = 'wait_pieces') THEN 'no' ELSE 'yes' END, true);
