-- The append-only log. Written by append_events() only; docs/adr/0003-group-commit.md says why it looks like this.

-- originator_id .. notification_id are the eventsourcing library's columns, under its names: its own recorder reads
-- them. The rest is ours, and null in events that the library's own Application wrote.
CREATE TABLE stored_events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    notification_id bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    event_id uuid NOT NULL DEFAULT gen_random_uuid(),
    command_id uuid,
    correlation_id uuid,
    causation_id uuid,
    schema_version integer NOT NULL DEFAULT 1,
    topic text NOT NULL,
    category text,
    partition_key text,
    actor text,
    traceparent text,
    state bytea NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
);
-- No sequence: positions are computed under the append lock, so they have no hole.
CREATE UNIQUE INDEX stored_events_notification_id_idx ON stored_events (notification_id);
-- For auditors. A category needs none: it is read in order of position, past the others, at millions a second.
CREATE INDEX stored_events_topic_idx ON stored_events (topic, notification_id);
CREATE INDEX stored_events_actor_idx ON stored_events (actor, notification_id);
CREATE INDEX stored_events_correlation_id_idx ON stored_events (correlation_id);

-- The first answer to each command: written with its events, never changed.
CREATE TABLE command_keys (
    command_id uuid PRIMARY KEY,
    position bigint NOT NULL,
    revision bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    status integer NOT NULL,
    fingerprint bytea NOT NULL,
    body bytea NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

-- For the roles whose privileges would let them. ALWAYS: also under session_replication_role = replica.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON stored_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE stored_events ENABLE ALWAYS TRIGGER append_only;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON command_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE command_keys ENABLE ALWAYS TRIGGER append_only;

-- What a batch is made of. A ticket is the writer's number for an append; adapters/postgres/batch_format.py packs these.
CREATE TYPE new_event AS (
    ticket bigint,
    stream uuid,
    revision bigint,
    event_id uuid,
    schema_version integer,
    type text,
    data bytea,
    category text,
    partition_key text,
    command_id uuid,
    correlation_id uuid,
    causation_id uuid,
    actor text,
    traceparent text
);
-- The stream stands at `expected` and gets first..last (first > last: an assertion only). Expected null: only
-- uniqueness counts, as in the library's insert_events.
CREATE TYPE stream_check AS (
    ticket bigint,
    stream uuid,
    expected bigint,
    first bigint,
    last bigint,
    first_event_id uuid,
    not_after timestamptz
);
CREATE TYPE new_command_key AS (
    ticket bigint,
    command_id uuid,
    last_stream uuid,
    last_revision bigint,
    revision bigint,
    status integer,
    fingerprint bytea,
    body bytea
);

-- Says which appends of a batch can't be written, one row each: the first reason that holds.
CREATE FUNCTION refused_appends(checks stream_check[], keys new_command_key[], resent boolean, now timestamptz)
RETURNS TABLE (ticket bigint, verdict jsonb)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH conflict AS MATERIALIZED (
        SELECT s.*
        FROM (
            SELECT c.*, (
                SELECT max(e.originator_version) FROM public.stored_events e
                WHERE e.originator_id = c.stream
                AND e.originator_version >= CASE WHEN c.expected IS NULL THEN c.first ELSE -1 END
                AND e.originator_version <= CASE WHEN c.expected IS NULL THEN c.last ELSE 9223372036854775807 END
            ) AS actual
            FROM unnest(checks) c
        ) s
        WHERE CASE WHEN s.expected IS NULL THEN s.actual IS NOT NULL ELSE coalesce(s.actual, 0) <> s.expected END
    ), own AS (
        -- A batch sent again after a lost connection, or an append tried again by its caller: written already.
        SELECT c.ticket, max(e.notification_id + c.last - c.first) AS position, max(e.recorded_at) AS recorded_at
        FROM conflict c
        JOIN LATERAL (
            SELECT * FROM public.stored_events e
            WHERE e.originator_id = c.stream AND e.originator_version = c.first
        ) e ON e.event_id = c.first_event_id
        WHERE c.first <= c.last
        GROUP BY c.ticket
    ), used AS (
        SELECT k.ticket, u.*, u.fingerprint = k.fingerprint AS same
        FROM unnest(keys) k
        JOIN LATERAL (SELECT * FROM public.command_keys u WHERE u.command_id = k.command_id) u ON true
    )
    SELECT DISTINCT ON (r.ticket) r.ticket, r.verdict || jsonb_build_object('ticket', r.ticket)
    FROM (
        SELECT own.ticket, 1 AS rank, jsonb_build_object('verdict', 'own', 'position', own.position,
            'recorded_at', own.recorded_at) AS verdict
        FROM own
        UNION ALL
        -- Sent for the first time, a used key is a repetition even when the event ids are the same.
        SELECT used.ticket, CASE WHEN resent THEN 2 ELSE 0 END,
            CASE WHEN used.same THEN jsonb_build_object('verdict', 'repeated', 'position', used.position,
                'revision', used.revision, 'status', used.status, 'body', encode(used.body, 'base64'))
            ELSE jsonb_build_object('verdict', 'reused') END
        FROM used
        UNION ALL
        SELECT conflict.ticket, 3, jsonb_build_object('verdict', 'conflict', 'stream', conflict.stream,
            'expected', conflict.expected, 'actual', coalesce(conflict.actual, 0))
        FROM conflict
        UNION ALL
        SELECT c.ticket, 4, jsonb_build_object('verdict', 'expired') FROM unnest(checks) c WHERE c.not_after < now
    ) r
    ORDER BY r.ticket, r.rank;
END
$$;
REVOKE ALL ON FUNCTION refused_appends FROM PUBLIC;

-- Writes a batch in one call: all of an append or none, refused ones left out. The events written get the positions
-- base + 1, base + 2 .. in the order given; `refused` is null when nothing was.
CREATE FUNCTION append_events(
    events new_event[], checks stream_check[], keys new_command_key[], resent boolean,
    OUT base bigint, OUT at timestamptz, OUT refused jsonb
)
LANGUAGE plpgsql SECURITY DEFINER
-- Plans are kept from when the table was empty, and a scan of all of it must never be one of them.
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    last_at timestamptz;
    losers bigint[];
BEGIN
    -- Under another level we would read a snapshot from before the lock.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'append_events() needs isolation level read committed' USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM pg_advisory_xact_lock(4702111234474983745);
    SELECT e.notification_id, e.recorded_at INTO base, last_at
        FROM public.stored_events e ORDER BY e.notification_id DESC LIMIT 1;
    base := coalesce(base, 0);
    at := greatest(clock_timestamp(), last_at);

    SELECT jsonb_agg(r.verdict), array_agg(r.ticket) INTO refused, losers
        FROM public.refused_appends(checks, keys, resent, at) r;
    IF losers IS NOT NULL THEN
        events := ARRAY(SELECT e FROM unnest(events) e WHERE e.ticket <> ALL (losers));
        keys := ARRAY(SELECT k FROM unnest(keys) k WHERE k.ticket <> ALL (losers));
    END IF;

    INSERT INTO public.stored_events (
        originator_id, originator_version, notification_id, recorded_at, event_id, command_id, correlation_id,
        causation_id, schema_version, topic, category, partition_key, actor, traceparent, state
    )
    SELECT e.stream, e.revision, base + e.n, at, e.event_id, e.command_id, e.correlation_id,
        e.causation_id, e.schema_version, e.type, e.category, e.partition_key, e.actor, e.traceparent, e.data
    FROM unnest(events) WITH ORDINALITY AS e (
        ticket, stream, revision, event_id, schema_version, type, data, category, partition_key,
        command_id, correlation_id, causation_id, actor, traceparent, n
    );
    IF FOUND THEN
        NOTIFY stored_events; -- for the library's subscribe(); ours polls
    END IF;

    INSERT INTO public.command_keys (command_id, position, revision, recorded_at, status, fingerprint, body)
    SELECT k.command_id, coalesce((
            SELECT e.notification_id FROM public.stored_events e
            WHERE e.originator_id = k.last_stream AND e.originator_version = k.last_revision
        ), base), k.revision, at, k.status, k.fingerprint, k.body
    FROM unnest(keys) k;
END
$$;
REVOKE ALL ON FUNCTION append_events FROM PUBLIC;

-- The JSON of an event's state, null where it isn't any (compressed or encrypted by the library, or with a \u0000).
CREATE FUNCTION event_json(state bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN convert_from(state, 'UTF8')::jsonb;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

-- The log in the words of docs/contracts.md, for people who query it with SQL.
CREATE VIEW ledger AS
SELECT notification_id AS position, originator_id AS stream, originator_version AS revision, category, partition_key,
    event_id, topic AS type, schema_version, event_json(state) AS data, recorded_at, actor, correlation_id,
    causation_id, command_id, traceparent
FROM stored_events;

GRANT SELECT ON stored_events, command_keys, ledger TO beatledger_app;
GRANT EXECUTE ON FUNCTION append_events, event_json TO beatledger_app;
