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

-- A projector's batch: entries, documents by compare-and-set, then watermarks, only if no document lost. One call of one
-- planned statement, and all of it visible at once. `alive` false: the generation is retired, and nothing was written.
CREATE FUNCTION write_documents(
    in_view text, in_generation bigint, changes jsonb, entries jsonb, watermarks jsonb,
    OUT alive boolean, OUT lost text[]
)
LANGUAGE plpgsql
-- The plan is kept from when the table was empty: it must be one for a large table.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
BEGIN
    WITH living AS MATERIALIZED (
        SELECT view, number AS generation FROM view_generations
        WHERE view = in_view AND number = in_generation AND state <> 'retired' FOR KEY SHARE
    ), change AS MATERIALIZED (
        SELECT a.view, a.generation, c.*
        FROM living a, jsonb_to_recordset(changes) AS c (
            id text, was_seen bigint, was_handled bigint, seen bigint, handled bigint,
            listed boolean, body jsonb, parked jsonb
        )
    ), entered AS (
        INSERT INTO documents (view, generation, id, seen, handled, listed, body)
        SELECT a.view, a.generation, e.id, 0, 0, true, e.body
        FROM living a, jsonb_to_recordset(entries) AS e (id text, body jsonb)
        ON CONFLICT (view, generation, id) DO UPDATE SET body = excluded.body
    ), inserted AS (
        INSERT INTO documents (view, generation, id, seen, handled, listed, body, parked)
        SELECT view, generation, id, seen, handled, listed, body, parked FROM change WHERE was_handled = 0
        ON CONFLICT (view, generation, id) DO NOTHING
        RETURNING id
    ), updated AS (
        UPDATE documents d
        SET seen = c.seen, handled = c.handled, listed = c.listed, body = c.body, parked = c.parked
        FROM change c
        WHERE d.view = c.view AND d.generation = c.generation AND d.id = c.id
        AND d.seen = c.was_seen AND d.handled = c.was_handled AND c.was_handled > 0
        RETURNING d.id
    ), loser AS (
        SELECT id FROM change EXCEPT SELECT id FROM inserted EXCEPT SELECT id FROM updated
    ), marked AS (
        INSERT INTO view_watermarks AS w (view, generation, shard, position)
        SELECT a.view, a.generation, n.key, n.value::bigint
        FROM living a, jsonb_each_text(watermarks) n
        WHERE NOT EXISTS (SELECT FROM loser)
        ON CONFLICT (view, generation, shard) DO UPDATE SET position = excluded.position
        WHERE w.position < excluded.position
    )
    SELECT EXISTS (SELECT FROM living), ARRAY(SELECT id FROM loser) INTO alive, lost;
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON view_generations, view_watermarks, documents TO beatledger_app;
GRANT EXECUTE ON FUNCTION write_documents TO beatledger_app;
