-- Events as `[[forward]]` with kind = "clickhouse" writes them. A batch that is sent again within
-- the deduplication window is known by its token. Beyond it, ReplacingMergeTree keeps one row a
-- site and message id, and `FINAL` (or the views below) shows one before the merge as well.
CREATE TABLE IF NOT EXISTS `{DATABASE}`.`{TABLE}` (
  seq UInt64,
  message_id String,
  site LowCardinality(String),
  type LowCardinality(String),
  event LowCardinality(Nullable(String)),
  user_id Nullable(String),
  anonymous_id Nullable(String),
  group_id Nullable(String),
  previous_id Nullable(String),
  timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
  received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
  sent_at Nullable(DateTime64(3, 'UTC')),
  original_timestamp Nullable(DateTime64(3, 'UTC')),
  url Nullable(String),
  path Nullable(String),
  title Nullable(String),
  referrer Nullable(String),
  properties Nullable(String) CODEC(ZSTD(3)),
  traits Nullable(String) CODEC(ZSTD(3)),
  context Nullable(String) CODEC(ZSTD(3)),
  ip Nullable(String),
  user_agent LowCardinality(Nullable(String)),
  consent Nullable(String),
  trusted Nullable(Int8),
  bot Nullable(Int8),
  violations Nullable(String),
  node_id LowCardinality(String),
  node_seq UInt64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (site, message_id)
TTL toDateTime(timestamp) + INTERVAL {MONTHS} MONTH
SETTINGS non_replicated_deduplication_window = 10000;

-- Each event once, and whose it is: its user, else the user that its visitor was last identified
-- as, else the visitor.
CREATE VIEW IF NOT EXISTS `{DATABASE}`.person_{TABLE} AS
SELECT e.*, coalesce(e.user_id, known.known_as, e.anonymous_id) AS person_id
FROM (SELECT * FROM `{DATABASE}`.`{TABLE}` FINAL) AS e
LEFT JOIN (
  SELECT site, anonymous_id, argMax(user_id, timestamp) AS known_as
  FROM `{DATABASE}`.`{TABLE}`
  WHERE type = 'identify' AND user_id IS NOT NULL AND anonymous_id IS NOT NULL
  GROUP BY site, anonymous_id
) AS known ON e.site = known.site AND e.anonymous_id = known.anonymous_id;
