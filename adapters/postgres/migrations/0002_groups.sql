-- How far each consumer group has read the log (embedded profile). `epoch` moves when a group is started anew, so that
-- a member of before can't push the new checkpoint past events the new members haven't seen.
CREATE TABLE log_groups (
    name text PRIMARY KEY,
    position bigint NOT NULL,
    epoch bigint NOT NULL DEFAULT 1,
    committed_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE ON log_groups TO beatledger_app;
