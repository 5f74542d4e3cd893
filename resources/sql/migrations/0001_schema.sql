-- What was downloaded and how far, what is left to do, the quota ledger, and the counts of all workers.

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
    -- When it was last stored with another body or other keys.
    changed_at      timestamptz NOT NULL DEFAULT now(),
    -- Set when CourtListener has merged (301), sealed (410) or deleted (404) the object; then the body holds its id only.
    gone_at         timestamptz,
    gone_reason     text,
    PRIMARY KEY (stream, id)
) PARTITION BY LIST (stream);
CREATE INDEX records_court_date ON courtlistener.records (court_id, date_filed);
CREATE INDEX records_docket ON courtlistener.records (docket_id);
CREATE INDEX records_cluster ON courtlistener.records (cluster_id) WHERE cluster_id IS NOT NULL;
CREATE INDEX records_docket_entry ON courtlistener.records (docket_entry_id) WHERE docket_entry_id IS NOT NULL;

-- The tables of the streams that queries join. Autovacuum keeps no statistics about a partitioned table, so joins of
-- `records` with itself are planned blindly; those of its partitions are not.
CREATE TABLE courtlistener.dockets PARTITION OF courtlistener.records FOR VALUES IN ('dockets');
CREATE TABLE courtlistener.clusters PARTITION OF courtlistener.records FOR VALUES IN ('clusters');
CREATE TABLE courtlistener.opinions PARTITION OF courtlistener.records FOR VALUES IN ('opinions');
CREATE TABLE courtlistener.docket_entries PARTITION OF courtlistener.records FOR VALUES IN ('docket_entries');
CREATE TABLE courtlistener.recap_documents PARTITION OF courtlistener.records FOR VALUES IN ('recap_documents');

-- One row a sweep of a partition: the last pass over it. `after_id` is the last id stored in this pass, `since` the
-- date_modified from which the pass asks (null: everything), `watermark` the server's time when the pass began,
-- `walked_at` that of the last pass over everything that came to its end, `walked_pages` what it cost.
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
    walked_at    timestamptz,
    walked_pages bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (asset, partition, sweep)
);
-- What of a court was walked, whatever the asset.
CREATE INDEX sweeps_partition ON courtlistener.sweeps (partition text_pattern_ops);

-- Objects that must be seen, since what is stored does not fit together; a row goes when its object is stored anew or
-- known to be gone, in the same transaction.
CREATE TABLE courtlistener.lookups (
    -- listed: by its parent; unlisted: by its parent; parent: of something stored; children: of the docket `id`.
    kind      text        NOT NULL,
    stream    text        NOT NULL,
    id        bigint      NOT NULL,
    court_id  text,
    docket_id bigint,
    -- Whose page it was that did not fit.
    partition text        NOT NULL,
    asked_at  timestamptz NOT NULL DEFAULT now(),
    -- How often it could not be had, and when it is tried again.
    tries     integer     NOT NULL DEFAULT 0,
    due_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, stream, id)
);
CREATE INDEX lookups_court ON courtlistener.lookups (court_id, due_at);

-- Dockets of which something has left a partition that was downloaded, as long as it is in none that is: the full refresh
-- of that partition looks after them.
CREATE TABLE courtlistener.strays (
    docket_id bigint PRIMARY KEY,
    partition text   NOT NULL
);
CREATE INDEX strays_partition ON courtlistener.strays (partition);

-- Endpoints whose lists come to their end only with a bound of ids: the last one that the server named, its time then, and
-- ours; `noted_at`: when a list without a bound last failed.
CREATE TABLE courtlistener.endless_lists (
    endpoint  text        PRIMARY KEY,
    last_id   bigint      NOT NULL,
    served_at timestamptz NOT NULL,
    asked_at  timestamptz NOT NULL DEFAULT now(),
    noted_at  timestamptz NOT NULL DEFAULT now()
);

-- Partitions (court|YYYY-MM-01, or court|undated) whose documents have changed since they were last read.
CREATE TABLE courtlistener.stale_partitions (
    partition text        PRIMARY KEY,
    first_at  timestamptz NOT NULL DEFAULT now(),
    last_at   timestamptz NOT NULL DEFAULT now()
);

-- Chunks that the files of vector inputs call moved to a partition, until that one's file is made again.
CREATE TABLE courtlistener.chunk_arrivals (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition   text   NOT NULL,
    kind        text   NOT NULL,
    document_id bigint NOT NULL,
    chunk_id    text   NOT NULL
);
CREATE INDEX chunk_arrivals_partition ON courtlistener.chunk_arrivals (partition);

-- Until when every change of a court that a date shows is stored.
CREATE TABLE courtlistener.courts (
    court_id      text        PRIMARY KEY,
    current_as_of timestamptz NOT NULL
);

-- Courts by the server's word, whether it has them or was asked for one that it does not have.
CREATE TABLE courtlistener.known_courts (
    court_id     text        PRIMARY KEY,
    is_there     boolean     NOT NULL,
    name         text        NOT NULL DEFAULT '',
    citation     text        NOT NULL DEFAULT '',
    jurisdiction text        NOT NULL DEFAULT '',
    in_use       boolean,
    read_at      timestamptz NOT NULL DEFAULT now()
);
-- How far the server's list of courts was read, in one row at most.
CREATE TABLE courtlistener.court_list (
    only_row  boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    next_page integer     NOT NULL,
    begun_at  timestamptz NOT NULL DEFAULT now(),
    -- When it was last read to its end.
    read_at   timestamptz
);

-- What could not be downloaded or stored, until a retry succeeds. `docket_id` is null where no docket is known; then
-- `after_id` and `up_to_id` bound the ids of the sweep that hold it. `partition` is empty of a docket that another
-- program has named, until its court is known, and `asset` too of what could not be read in a list: dead from the start.
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
    resolved_at timestamptz,
    -- One target, whichever sweep meets it: a retry that fails again is the same row with one more try. A range of ids
    -- is one of its sweep; the retry walks it as a part, whose name ends in the range.
    target      text        NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN asset = '' THEN 'entry ' || sweep
            WHEN object_id IS NOT NULL THEN 'object ' || object_id::text
            WHEN docket_id IS NOT NULL THEN 'docket ' || docket_id::text
            ELSE 'after ' || coalesce(after_id, 0)::text || ' of ' || regexp_replace(sweep, ':[0-9]+-[0-9]+$', '')
        END
    ) STORED,
    -- The claim (and so the run) that is retrying it, since when, and how often it was claimed.
    claimed_by  text,
    claimed_at  timestamptz,
    claims      integer     NOT NULL DEFAULT 0,
    -- No retry before, on top of the backoff: the quota had no room.
    retry_after timestamptz,
    -- When it was given up after the last attempt.
    dead_at     timestamptz,
    state       text        NOT NULL GENERATED ALWAYS AS (
        CASE WHEN resolved_at IS NOT NULL THEN 'resolved' WHEN dead_at IS NOT NULL THEN 'dead' ELSE 'open' END
    ) STORED,
    -- Its state when its partition's check was last evaluated: where it differs, the check is to be evaluated again.
    shown       text
);
CREATE UNIQUE INDEX failures_open ON courtlistener.failures (asset, partition, target) WHERE resolved_at IS NULL;
CREATE INDEX failures_waiting ON courtlistener.failures (last_at)
    WHERE resolved_at IS NULL AND dead_at IS NULL AND claimed_by IS NULL;
CREATE INDEX failures_claimed ON courtlistener.failures (claimed_by) WHERE claimed_by IS NOT NULL;
CREATE INDEX failures_dead ON courtlistener.failures (dead_at) WHERE resolved_at IS NULL AND dead_at IS NOT NULL;
-- What was resolved lately (the Redis lists that must be empty), and what so long ago that it is deleted.
CREATE INDEX failures_resolved ON courtlistener.failures (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX failures_unshown ON courtlistener.failures (asset, partition) WHERE shown IS DISTINCT FROM state;

-- Entries of the Redis lists of failed dockets that other programs have pushed, by the token under which each was taken
-- out: so that none becomes a failure twice, whenever a worker or a server dies.
CREATE TABLE courtlistener.taken_entries (
    token    text        PRIMARY KEY,
    taken_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX taken_entries_by_time ON courtlistener.taken_entries (taken_at);

-- How many objects of a sweep the server counted when it was last asked.
CREATE TABLE courtlistener.server_counts (
    asset      text        NOT NULL,
    partition  text        NOT NULL,
    sweep      text        NOT NULL,
    objects    bigint      NOT NULL,
    counted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (asset, partition, sweep)
);

-- Partitions that a run left incomplete because it had to stop, and when to resume them.
CREATE TABLE courtlistener.deferrals (
    asset          text        NOT NULL,
    partition      text        NOT NULL,
    deferred_until timestamptz NOT NULL,
    reason         text        NOT NULL,
    -- The run whose passes are resumed.
    run_id         text        NOT NULL,
    -- What the run was told about this asset, and the other assets that it was to make.
    config         jsonb       NOT NULL DEFAULT '{}',
    downstream     text[]      NOT NULL DEFAULT '{}',
    -- How often it was deferred, and how long its run was expected to take when it stopped.
    times          integer     NOT NULL DEFAULT 1,
    eta_seconds    double precision,
    deferred_at    timestamptz NOT NULL DEFAULT now(),
    -- When a run was requested to resume it, which, and how many since it was last deferred.
    requested_at   timestamptz,
    request        text,
    attempts       integer     NOT NULL DEFAULT 0,
    PRIMARY KEY (asset, partition)
);
CREATE INDEX deferrals_due ON courtlistener.deferrals (deferred_until);
-- When a day's quota is used up, thousands of partitions become due at once; a tick takes the first few.
CREATE INDEX deferrals_by_partition ON courtlistener.deferrals (partition, asset);
CREATE INDEX deferrals_requested ON courtlistener.deferrals (partition, asset) WHERE requested_at IS NOT NULL;

-- The quota ledger: who is in charge, every permit ever granted, and who waits while Postgres decides.
CREATE TABLE courtlistener.ledgers (
    account text PRIMARY KEY,
    -- Raised by every change of holder and every rebuild of Redis: a grant of an older epoch is void.
    epoch bigint NOT NULL DEFAULT 0,
    holder text NOT NULL DEFAULT 'postgres' CHECK (holder IN ('redis', 'postgres')),
    -- When the holder last changed or Redis was last rebuilt because it had lost its memory.
    changed_at timestamptz NOT NULL DEFAULT 'epoch',
    -- How long Postgres keeps the ledger after taking it over; doubled when Redis fails again soon.
    cool_down_seconds double precision NOT NULL DEFAULT 0,
    -- Postgres' clock minus Redis' clock at the last rebuild, microseconds.
    clock_offset_us bigint NOT NULL DEFAULT 0,
    -- [{"limit": 5, "seconds": 60, "foreign": 0, "foreign_until_us": 0}, ..], Unix microseconds.
    windows jsonb NOT NULL,
    held_until timestamptz NOT NULL DEFAULT 'epoch',
    blocked text NOT NULL DEFAULT '',
    observed_at timestamptz NOT NULL DEFAULT 'epoch',
    observation_claimed_at timestamptz NOT NULL DEFAULT 'epoch',
    throttled_at timestamptz NOT NULL DEFAULT 'epoch'
);
-- Whether the server answers at all, for all workers of an account.
CREATE TABLE courtlistener.servers (
    account      text        PRIMARY KEY,
    -- When it last answered as the API does.
    answered_at  timestamptz NOT NULL DEFAULT 'epoch',
    -- The worker that asks while nobody knows whether it answers; the others wait for it until then.
    asker        text,
    asking_until timestamptz NOT NULL DEFAULT 'epoch',
    -- How many workers got no proper answer since the last one.
    failures     integer     NOT NULL DEFAULT 0,
    -- Since when it is known to be down (null: it is not), what was seen, how often it was asked in vain since, and
    -- when it is asked again.
    down_since   timestamptz,
    seen         text        NOT NULL DEFAULT '',
    probes       integer     NOT NULL DEFAULT 0,
    probe_at     timestamptz NOT NULL DEFAULT 'epoch',
    -- Endpoints that are out of order while others answer, or that the account may not use.
    endpoints    jsonb       NOT NULL DEFAULT '{}'
);
CREATE TABLE courtlistener.permits (
    account text NOT NULL REFERENCES courtlistener.ledgers (account),
    request_id text NOT NULL,
    epoch bigint NOT NULL,
    holder text NOT NULL,
    granted_at timestamptz NOT NULL,
    settled_at timestamptz,
    -- The moment from which the permit ages: the latest time of the response, then its real time; null when given back.
    ages_from timestamptz,
    outcome text,
    PRIMARY KEY (account, request_id)
);
CREATE INDEX permits_by_age ON courtlistener.permits (account, ages_from DESC) WHERE ages_from IS NOT NULL;
-- Retention looks for the oldest grants. In a block range index the ranges of freed pages span weeks as soon as young
-- rows move in, and then every look reads the whole journal.
CREATE INDEX permits_by_grant ON courtlistener.permits (granted_at);
CREATE TABLE courtlistener.permit_waiters (
    account text NOT NULL,
    request_id text NOT NULL,
    priority boolean NOT NULL,
    ticket bigint GENERATED ALWAYS AS IDENTITY,
    deadline timestamptz NOT NULL,
    PRIMARY KEY (account, request_id)
);

-- What all workers have counted since the beginning, for metrics: a worker lives for seconds, its counts stay.
CREATE TABLE courtlistener.worker_totals (
    metric text NOT NULL,
    -- The value of the metric's label, empty if it has none.
    label  text NOT NULL DEFAULT '',
    total  double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (metric, label)
);

-- Which jurisdiction a court has, as CourtListener said; an empty one: none of those that it was asked for.
CREATE TABLE courtlistener.jurisdictions (
    court_id     text        PRIMARY KEY,
    jurisdiction text        NOT NULL,
    read_at      timestamptz NOT NULL DEFAULT now()
);
