-- What the event store knows of its Kafka (distributed profile), so that commands and tokens need no Kafka to be there.
-- Written by `beatledger migrate`, which also creates the topics.
CREATE TABLE kafka_topics (
    subject text PRIMARY KEY,
    name text NOT NULL UNIQUE,
    partitions integer NOT NULL CHECK (partitions > 0),
    topic_id uuid NOT NULL,
    cluster_id text NOT NULL
);
GRANT SELECT ON kafka_topics TO beatledger_app;

-- One row: everything up to `position` was acknowledged by Kafka, whose partitions then ended at `offsets` or later.
-- An end below tells that Kafka lost records.
CREATE TABLE kafka_relay (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL DEFAULT 0,
    offsets jsonb NOT NULL DEFAULT '{}',
    moved_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO kafka_relay DEFAULT VALUES;
GRANT SELECT, UPDATE ON kafka_relay TO beatledger_app;

-- A group started anew is another group for Kafka, named by its incarnation: members of before can't commit into it.
CREATE TABLE kafka_groups (
    name text PRIMARY KEY,
    incarnation uuid NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON kafka_groups TO beatledger_app;
