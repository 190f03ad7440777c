-- The database's clock may step back. A row that waits until an instant knows from when its delay counts: when that
-- lies ahead of the clock, the delay counts from now (adapters/postgres/clock_steps.py).
ALTER TABLE analysis_jobs ADD COLUMN counts_from timestamptz NOT NULL DEFAULT clock_timestamp();
-- Jobs that a step of the clock has left waiting for days run now.
UPDATE analysis_jobs SET counts_from = run_after WHERE status IN ('queued', 'retrying');
CREATE INDEX analysis_jobs_counts_from_idx ON analysis_jobs (counts_from) WHERE status IN ('queued', 'retrying');

ALTER TABLE process_deadlines ADD COLUMN counts_from timestamptz NOT NULL DEFAULT clock_timestamp();
CREATE INDEX process_deadlines_counts_from_idx ON process_deadlines (counts_from) WHERE error IS NULL;

-- Writes a batch in one call: all of an append or none, refused ones left out. The events written get the positions
-- base + 1, base + 2 .. in the order given; `refused` is null when nothing was.
CREATE OR REPLACE FUNCTION append_events(
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
    clock timestamptz;
    limits_at timestamptz;
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
    clock := clock_timestamp();
    at := greatest(clock, last_at);
    -- A clock behind the log cannot say that a time limit has not passed: then every limit counts as passed.
    limits_at := CASE WHEN clock < last_at - interval '1 second' THEN 'infinity' ELSE at END;

    SELECT jsonb_agg(r.verdict), array_agg(r.ticket) INTO refused, losers
        FROM public.refused_appends(checks, keys, resent, limits_at) r;
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
