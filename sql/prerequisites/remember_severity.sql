-- Whether the release before had the rule by which every root was CRITICAL after five minutes: then policies that it touches go to dry
-- run, alerts say so, and recorded severities are put right, once.
SELECT set_config('one_vault.earlier_severity',
                  CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_proc AS p
                                    WHERE p.oid = to_regprocedure('lock_engine.severity(integer,numeric)')
                                      AND p.prosrc NOT LIKE '%p_blocked >= 3 AND p_longest_seconds >= 300%')
                       THEN 'yes' ELSE 'no' END, true);
