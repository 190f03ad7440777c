-- The read models (embedded profile). Every view's documents are in one table; a generation is a column's value, so a
-- switch is one small update. The views' own indexes are made by adapters/postgres/document_indexes.py.
CREATE TABLE view_generations (
    view text COLLATE "C" NOT NULL,
    -- Across all views and never used twice: cursors and late writers name it.
    number bigint GENERATED ALWAYS AS IDENTITY,
    version integer NOT NULL,
    state text NOT NULL DEFAULT 'building' CHECK (state IN ('building', 'following', 'serving', 'retired')),
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (view, number)
);
CREATE UNIQUE INDEX view_generations_serving_idx ON view_generations (view) WHERE state = 'serving';

CREATE TABLE view_watermarks (
    view text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    shard text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (view, generation, shard)
);

-- body null: a tombstone. handled > seen: the stream is parked from seen + 1 to handled. expires_at: generation 0 only.
CREATE TABLE documents (
    view text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    seen bigint NOT NULL,
    handled bigint NOT NULL,
    listed boolean NOT NULL,
    expires_at timestamptz,
    body jsonb,
    parked jsonb,
    PRIMARY KEY (view, generation, id)
);
CREATE INDEX documents_parked_idx ON documents (view, generation) WHERE parked IS NOT NULL;
CREATE INDEX documents_expires_at_idx ON documents (expires_at) WHERE expires_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON view_generations, view_watermarks, documents TO beatledger_app;
