-- Retries of failures, deferred partitions, and finding what changed on a day.

-- A failure is one target, whichever sweep meets it: so a retry that fails again is the same row with one more try.
DROP INDEX courtlistener.failures_open;
ALTER TABLE courtlistener.failures
    ADD COLUMN target text NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN object_id IS NOT NULL THEN 'object ' || object_id::text
            WHEN docket_id IS NOT NULL THEN 'docket ' || docket_id::text
            ELSE 'after ' || coalesce(after_id, 0)::text
        END
    ) STORED,
    -- The claim (and so the run) that is retrying it; null: nobody.
    ADD COLUMN claimed_by text,
    ADD COLUMN claimed_at timestamptz,
    -- How often it was claimed.
    ADD COLUMN claims integer NOT NULL DEFAULT 0,
    -- No retry before, on top of the backoff: the quota had no room.
    ADD COLUMN not_before timestamptz,
    -- When it was given up after the last attempt.
    ADD COLUMN dead_at timestamptz;
CREATE UNIQUE INDEX failures_open ON courtlistener.failures (asset, partition, target) WHERE resolved_at IS NULL;
CREATE INDEX failures_waiting ON courtlistener.failures (last_at)
    WHERE resolved_at IS NULL AND dead_at IS NULL AND claimed_by IS NULL;
CREATE INDEX failures_claimed ON courtlistener.failures (claimed_by) WHERE claimed_by IS NOT NULL;
CREATE INDEX failures_dead ON courtlistener.failures (dead_at) WHERE resolved_at IS NULL AND dead_at IS NOT NULL;

-- Partitions that a run left incomplete because it had to stop, and when to go on.
CREATE TABLE courtlistener.deferrals (
    asset        text        NOT NULL,
    partition    text        NOT NULL,
    not_before   timestamptz NOT NULL,
    reason       text        NOT NULL,
    -- The run whose passes are gone on with.
    run_id       text        NOT NULL,
    -- What the run was told about this asset, and the other assets that it was to make.
    config       jsonb       NOT NULL DEFAULT '{}',
    downstream   text[]      NOT NULL DEFAULT '{}',
    -- How often it was deferred, and how long its run was expected to take when it stopped.
    times        integer     NOT NULL DEFAULT 1,
    eta_seconds  double precision,
    deferred_at  timestamptz NOT NULL DEFAULT now(),
    -- When a run was requested to go on, which, and how many since it was last deferred.
    requested_at timestamptz,
    request      text,
    attempts     integer     NOT NULL DEFAULT 0,
    PRIMARY KEY (asset, partition)
);
CREATE INDEX deferrals_due ON courtlistener.deferrals (not_before);

-- Which months does a day's changes touch?
CREATE INDEX records_court_modified ON courtlistener.records (court_id, date_modified);
