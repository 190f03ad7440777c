-- Snapshots are a cache of folds: losing one costs a longer load, nothing else.
CREATE TABLE snapshots (
    stream uuid PRIMARY KEY,
    revision bigint NOT NULL,
    fold_version integer NOT NULL,
    state bytea NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON snapshots TO beatledger_app;

-- Those of the eventsourcing library's own Application, in the shape its recorder writes.
CREATE TYPE stored_event_uuid AS (originator_id uuid, originator_version bigint, topic text, state bytea);
CREATE TABLE stored_snapshots (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text,
    state bytea,
    PRIMARY KEY (originator_id, originator_version)
);
GRANT SELECT, INSERT ON stored_snapshots TO beatledger_app;
