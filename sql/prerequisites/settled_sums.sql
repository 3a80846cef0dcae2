-- Adding up a month again takes longer than an update may; hours are forgotten with their rows, so that these are gone in time.
UPDATE lock_engine.wait_rollup_state AS s SET counted_until = s.rolled_until
 WHERE current_setting('one_vault.earlier_sums') = 'yes' AND s.rolled_until > s.rolled_from;
