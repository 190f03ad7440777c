-- Two folds of one stream have a snapshot each, bound to the stream by a hash and an event id in the content. The table
-- `snapshots` stays for processes of the version before, which may serve beside this one during an upgrade.
CREATE TABLE fold_snapshots (
    stream uuid NOT NULL,
    fold text NOT NULL,
    fold_version integer NOT NULL,
    revision bigint NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (stream, fold)
);
GRANT SELECT, INSERT, UPDATE ON fold_snapshots TO beatledger_app;
