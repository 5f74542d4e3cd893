-- What was downloaded, and how far.

-- One partition a stream (courtlistener.dockets, courtlistener.clusters, ...), made when the stream is first used, so
-- that a new stream needs no migration. The typed columns are keys to join and filter by; the body is the whole object.
CREATE TABLE courtlistener.records (
    stream          text        NOT NULL,
    id              bigint      NOT NULL,
    docket_id       bigint,
    cluster_id      bigint,
    docket_entry_id bigint,
    court_id        text,
    date_filed      date,
    date_modified   timestamptz,
    body            jsonb       NOT NULL,
    fetched_at      timestamptz NOT NULL DEFAULT now(),
    -- Set when CourtListener has merged (301) or sealed (410) the object.
    gone_at         timestamptz,
    gone_reason     text,
    PRIMARY KEY (stream, id)
) PARTITION BY LIST (stream);

CREATE INDEX records_court_date ON courtlistener.records (court_id, date_filed);
CREATE INDEX records_docket ON courtlistener.records (docket_id);
CREATE INDEX records_cluster ON courtlistener.records (cluster_id) WHERE cluster_id IS NOT NULL;
CREATE INDEX records_docket_entry ON courtlistener.records (docket_entry_id) WHERE docket_entry_id IS NOT NULL;

-- One row a sweep of a partition: the last pass over it. `after_id` is the last id stored in this pass, `since` the
-- date_modified from which the pass asks (null: everything), `watermark` the server's time when the pass began.
CREATE TABLE courtlistener.sweeps (
    asset        text        NOT NULL,
    partition    text        NOT NULL,
    sweep        text        NOT NULL,
    pass         bigint      NOT NULL DEFAULT 1,
    after_id     bigint      NOT NULL DEFAULT 0,
    since        timestamptz,
    watermark    timestamptz,
    run_id       text        NOT NULL,
    pages        bigint      NOT NULL DEFAULT 0,
    records      bigint      NOT NULL DEFAULT 0,
    started_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    PRIMARY KEY (asset, partition, sweep)
);

-- What could not be downloaded or stored, until a retry succeeds. `docket_id` is null where no docket is known; then
-- `after_id` and `up_to_id` bound the ids of the sweep that hold it.
CREATE TABLE courtlistener.failures (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asset       text        NOT NULL,
    partition   text        NOT NULL,
    sweep       text        NOT NULL,
    docket_id   bigint,
    object_id   bigint,
    after_id    bigint,
    up_to_id    bigint,
    error       text        NOT NULL,
    message     text        NOT NULL,
    tries       integer     NOT NULL DEFAULT 1,
    requests    bigint      NOT NULL DEFAULT 0,
    first_at    timestamptz NOT NULL DEFAULT now(),
    last_at     timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz
);
-- The same failure seen again is the same row.
CREATE UNIQUE INDEX failures_open ON courtlistener.failures
    (asset, partition, sweep, coalesce(docket_id, 0), coalesce(object_id, 0), coalesce(after_id, 0))
    WHERE resolved_at IS NULL;
