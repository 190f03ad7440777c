-- The schedule of analyses. The track's stream is the truth of a job's outcome; a row says when it runs, who holds it
-- and how far it is. A lost row comes back when the log is read again.
CREATE TABLE analysis_jobs (
    job_id uuid PRIMARY KEY,
    track_id uuid NOT NULL,
    number integer NOT NULL,
    priority integer NOT NULL,
    audio_sha256 text NOT NULL,
    preset text NOT NULL,
    bpm_hint double precision,
    engine text NOT NULL,
    duration_ms double precision NOT NULL,
    queued_at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    correlation_id uuid NOT NULL,
    traceparent text,
    -- of the last event of the stream that this row reflects: an older one, delivered again, changes nothing
    revision bigint NOT NULL,
    status text NOT NULL DEFAULT 'queued'
        CHECK (status IN ('queued', 'running', 'retrying', 'completed', 'cancelled', 'dead')),
    attempt integer NOT NULL DEFAULT 0,
    -- whoever claims it goes on with an attempt that its worker gave back
    resumes boolean NOT NULL DEFAULT false,
    run_after timestamptz NOT NULL,
    worker text,
    lease_until timestamptz,
    stage text,
    percent double precision NOT NULL DEFAULT 0,
    error_code text,
    error_detail text,
    took_ms double precision,
    finished_at timestamptz,
    CHECK ((status = 'running') = (worker IS NOT NULL AND lease_until IS NOT NULL))
)
-- Room for heartbeats to update in place.
WITH (fillfactor = 70);
CREATE INDEX analysis_jobs_waiting_idx ON analysis_jobs (priority DESC, run_after, event_id)
    WHERE status IN ('queued', 'retrying');
-- Not by lease_until: no index may hold what each heartbeat changes.
CREATE INDEX analysis_jobs_running_idx ON analysis_jobs (job_id) WHERE status = 'running';
CREATE INDEX analysis_jobs_finished_idx ON analysis_jobs (status, finished_at DESC) WHERE finished_at IS NOT NULL;
CREATE INDEX analysis_jobs_track_idx ON analysis_jobs (track_id, number);
GRANT SELECT, INSERT, UPDATE ON analysis_jobs TO beatledger_app;
