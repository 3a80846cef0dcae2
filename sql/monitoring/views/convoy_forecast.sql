-- Each DDL statement that waits and makes others wait behind it: how fast its queue grows, and when at that rate the
-- server has no connection left. Growth is what joined the queue in the last 30 seconds.
CREATE OR REPLACE VIEW monitoring.convoy_forecast AS
WITH graph AS MATERIALIZED (
    SELECT * FROM lock_catalog.waits_for()
), room AS (
    SELECT current_setting('max_connections')::integer
           - current_setting('superuser_reserved_connections')::integer
           - coalesce(nullif(current_setting('reserved_connections', true), '')::integer, 0)
           - (SELECT count(*)::integer FROM lock_catalog.sessions AS s
               WHERE s.backend_type = 'client backend') AS free_connections
)
SELECT d.node,
       d.pid,
       d.user_name,
       d.application_name,
       d.object_name,
       d.wait_start,
       d.blocked_total,
       r.free_connections,
       b.joined_30_seconds,
       CASE WHEN b.joined_30_seconds > 0
            THEN round(greatest(r.free_connections, 0) * 30.0 / b.joined_30_seconds, 0) END AS seconds_left
  FROM graph AS d
 CROSS JOIN room AS r
 CROSS JOIN LATERAL (
       SELECT count(*)::integer AS joined_30_seconds
         FROM graph AS w
        WHERE w.is_waiting AND w.object_key = d.object_key AND w.node <> d.node
          AND w.wait_start > clock_timestamp() - interval '30 seconds') AS b
 WHERE d.kind = 'queued_ddl' AND d.blocked_total > 0;

COMMENT ON VIEW monitoring.convoy_forecast IS 'DDL that waits with a queue behind it: how long the queue is, how fast it grows, when the connections run out.';
COMMENT ON COLUMN monitoring.convoy_forecast.seconds_left IS 'free_connections divided by arrivals per second of the last 30 seconds; NULL while nobody joins.';
GRANT SELECT ON monitoring.convoy_forecast TO lock_monitoring_role;
ALTER VIEW monitoring.convoy_forecast OWNER TO lock_vault_owner;
