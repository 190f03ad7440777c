-- Process managers: keys whose event failed, and durable timers. The log is the truth of both: a lost row comes back
-- when the group reads the log again.
CREATE TABLE process_parked (
    manager text NOT NULL,
    key text NOT NULL,
    -- of the event that failed; those of the key up to `up_to` wait behind it
    position bigint NOT NULL,
    up_to bigint NOT NULL,
    error text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (manager, key)
);
CREATE TABLE process_deadlines (
    manager text NOT NULL,
    key text NOT NULL,
    kind text NOT NULL,
    due_at timestamptz NOT NULL,
    -- of the event it derives from; `turn` counts deadlines derived from that event one after the other
    position bigint NOT NULL,
    turn integer NOT NULL DEFAULT 0,
    event_id uuid NOT NULL,
    correlation_id uuid NOT NULL,
    traceparent text,
    lease_until timestamptz,
    error text,
    parked_at timestamptz,
    PRIMARY KEY (manager, key, kind)
);
CREATE INDEX process_deadlines_due_idx ON process_deadlines (manager, due_at) WHERE error IS NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON process_parked, process_deadlines TO beatledger_app;

-- The events of a partition key that are not on the stream of that name: members of a deployment. Tracks have none.
CREATE INDEX stored_events_partition_key_idx ON stored_events (partition_key, notification_id)
    WHERE partition_key <> originator_id::text;
