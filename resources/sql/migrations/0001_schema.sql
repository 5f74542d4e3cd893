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
    -- api, or bulk: what the bulk files do not hold is absent from such a body; or merged: a body of the API with fields
    -- that bulk files have shown to be others by now.
    source          text        NOT NULL DEFAULT 'api' CHECK (source IN ('api', 'bulk', 'merged')),
    -- As of when it is known: of a row from bulk files, the moment up to which every change is in them.
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

-- A decision's citations as they are printed, such as `540 U.S. 614`, and the way from one of them to the decision. Of
-- what is no citation there are at most 200 characters: more would not fit into the index.
CREATE FUNCTION courtlistener.citations_of(body jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT left((cited->>'volume') || ' ' || (cited->>'reporter') || ' ' || (cited->>'page'), 200)
    FROM jsonb_path_query(body, 'lax $.citations[*]') AS cited
);
CREATE INDEX clusters_citations ON courtlistener.clusters USING gin (courtlistener.citations_of(body));

-- Which opinion cites which and how often, from bulk files: all that opinions which are stored cite, and all that cite
-- them, stored or not. `as_of` is that of the newest dump that has the citation.
CREATE TABLE courtlistener.citation_map (
    citing_opinion_id bigint      NOT NULL,
    cited_opinion_id  bigint      NOT NULL,
    depth             integer     NOT NULL,
    as_of             timestamptz NOT NULL,
    PRIMARY KEY (citing_opinion_id, cited_opinion_id)
);
CREATE INDEX citation_map_cited ON courtlistener.citation_map (cited_opinion_id);

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
    -- When its last page was stored, or the pass began.
    stored_at    timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    walked_at    timestamptz,
    walked_pages bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (asset, partition, sweep)
);
-- What was walked last, and what is being walked: how many requests a page takes is seen there.
CREATE INDEX sweeps_finished ON courtlistener.sweeps (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX sweeps_unfinished ON courtlistener.sweeps (started_at) WHERE finished_at IS NULL;
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

-- What differs between the store and a dump of bulk files, by the date of the dump.
CREATE TABLE courtlistener.dump_differences (
    dump        date        NOT NULL,
    stream      text        NOT NULL,
    id          bigint      NOT NULL,
    -- deleted: stored, and not in the dump; changed: with other values, though its date has not moved; children: only its
    -- list of children is another; missing: not stored, though its month was complete; revived: a tombstone older than
    -- the dump, which has it.
    kind        text        NOT NULL CHECK (kind IN ('deleted', 'changed', 'children', 'missing', 'revived')),
    court_id    text,
    docket_id   bigint,
    -- [stored, in the dump] by field; of lists, what only one of them has; of long texts, their length and a hash. Empty
    -- once the object is gone.
    fields      jsonb       NOT NULL DEFAULT '{}',
    found_at    timestamptz NOT NULL DEFAULT now(),
    -- When it was set right, and how; null while it waits to be looked up.
    repaired_at timestamptz,
    outcome     text,
    -- How often it could not be looked up, and when it is tried again.
    tries       integer     NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dump, stream, id, kind)
);
CREATE INDEX dump_differences_open ON courtlistener.dump_differences (stream, id) WHERE repaired_at IS NULL;
CREATE INDEX dump_differences_object ON courtlistener.dump_differences (stream, id);
-- Dumps that were compared to their end; `newer` stored rows were fetched after the dump, which does not judge them.
CREATE TABLE courtlistener.dump_comparisons (
    dump        date        PRIMARY KEY,
    courts      text[]      NOT NULL,
    newer       bigint      NOT NULL,
    compared_at timestamptz NOT NULL DEFAULT now()
);

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

-- The change log of vector inputs, one for each place that files go to, and the last number that it has given. The
-- numbers have no gaps, and become visible in their order: whoever takes one keeps this row until the end of the
-- transaction.
CREATE TABLE courtlistener.chunk_logs (
    place         text   PRIMARY KEY,
    last_sequence bigint NOT NULL
);
-- Which version of a partition's file the log describes (null: none yet). A file of another version is there because a
-- worker was killed before it could say so, or was late. The row is locked while the file is replaced.
CREATE TABLE courtlistener.chunk_files (
    place     text NOT NULL,
    partition text NOT NULL,
    version   text,
    PRIMARY KEY (place, partition)
);
-- The entries since the log was last compacted; `entry` is a Parquet file of ids and hashes until it is written to its
-- place.
CREATE TABLE courtlistener.chunk_changes (
    place      text        NOT NULL,
    sequence   bigint      NOT NULL,
    partition  text        NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    entry      bytea,
    PRIMARY KEY (place, sequence)
);
CREATE INDEX chunk_changes_unwritten ON courtlistener.chunk_changes (place, sequence) WHERE entry IS NOT NULL;
CREATE INDEX chunk_changes_partition ON courtlistener.chunk_changes (place, partition);

-- Which documents are in the files of vector inputs, by what a copy of theirs in another partition would have, too
-- (COURTLISTENER_DUPLICATES_ACROSS): a digest of the text and of one thing that names the case. `copy_of`: the document that
-- the file of the partition names as the original. Written in the transaction that describes the file.
CREATE TABLE courtlistener.chunk_texts (
    place       text   NOT NULL,
    content     bytea  NOT NULL,
    document_id bigint NOT NULL,
    partition   text   NOT NULL,
    doc_type    text   NOT NULL,
    copy_of     bigint,
    PRIMARY KEY (place, content, document_id, partition)
);
CREATE INDEX chunk_texts_partition ON courtlistener.chunk_texts (place, partition);

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

-- How many objects of a sweep the server counted in all months of a court from a first one to a last one, and when.
CREATE TABLE courtlistener.court_counts (
    court_id    text        NOT NULL,
    asset       text        NOT NULL,
    sweep       text        NOT NULL,
    first_month date        NOT NULL,
    -- Infinite: it was the present one.
    last_month  date        NOT NULL DEFAULT 'infinity',
    objects     bigint      NOT NULL,
    counted_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (court_id, asset, sweep, first_month, last_month)
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
    -- Whose quota had no room until then; null of what waits for something else.
    account        text,
    PRIMARY KEY (asset, partition)
);
CREATE INDEX deferrals_by_account ON courtlistener.deferrals (account) WHERE account IS NOT NULL;
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
    -- Postgres' clock minus Redis' clock at the last rebuild, and how far they may drift apart, microseconds.
    clock_offset_us bigint NOT NULL DEFAULT 0,
    clock_tolerance_us bigint NOT NULL DEFAULT 0,
    -- By how much Postgres' clock has jumped ahead so far, as the ages of the permits have been corrected.
    clock_corrected_us bigint NOT NULL DEFAULT 0,
    -- The machine (its boot) on which a worker last locked this row, that machine's steady clock when the worker asked for
    -- Postgres' clock, how long it had to wait for it, and what it showed, without the corrections, microseconds: by these
    -- a worker that begins there knows whether Postgres' has jumped since.
    seen_from text NOT NULL DEFAULT '',
    seen_steady_us bigint NOT NULL DEFAULT 0,
    seen_took_us bigint NOT NULL DEFAULT 0,
    seen_clock_us bigint NOT NULL DEFAULT 0,
    -- [{"limit": 5, "seconds": 60, "foreign": 0, "foreign_until_us": 0}, ..], Unix microseconds.
    windows jsonb NOT NULL,
    held_until timestamptz NOT NULL DEFAULT 'epoch',
    blocked text NOT NULL DEFAULT '',
    observed_at timestamptz NOT NULL DEFAULT 'epoch',
    observation_claimed_at timestamptz NOT NULL DEFAULT 'epoch',
    throttled_at timestamptz NOT NULL DEFAULT 'epoch',
    -- What is remembered of others that use the account, see resources/quota/others.py; empty while there are none.
    others jsonb NOT NULL DEFAULT '{}'
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
    -- Whether it was granted in the priority lane.
    priority boolean NOT NULL DEFAULT false,
    -- The number of the grant within its epoch, and when it was, both by Redis, microseconds. They go the same way, unless
    -- a copy of its keys was restored, which gives numbers again.
    serial bigint,
    redis_us bigint,
    PRIMARY KEY (account, request_id)
);
CREATE UNIQUE INDEX permits_by_serial ON courtlistener.permits (account, epoch, serial) WHERE serial IS NOT NULL;
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

-- Moments as Unix microseconds and back, exactly, whatever the time zone.
CREATE FUNCTION courtlistener.unix_us(moment timestamptz) RETURNS bigint LANGUAGE sql STABLE
RETURN (extract(epoch FROM moment) * 1000000)::bigint;
CREATE FUNCTION courtlistener.moment(unix_us bigint) RETURNS timestamptz LANGUAGE sql STABLE
RETURN timestamptz 'epoch' + unix_us * interval '1 microsecond';

-- Put Postgres in charge of an account whose row is locked. It keeps the ledger for `shortest_seconds` at least; twice as
-- long as the last time, up to five minutes, if Redis has failed within a minute of being put in charge.
CREATE FUNCTION courtlistener.take_ledger_over(
    the_account text, now_us bigint, shortest_seconds double precision,
    OUT new_epoch bigint, OUT new_cool_down_seconds double precision
) LANGUAGE plpgsql AS $$
BEGIN
    -- An epoch that no earlier attempt has used: one that was given up may still reach Redis.
    UPDATE courtlistener.ledgers
    SET epoch = greatest(epoch + 1, now_us), holder = 'postgres', changed_at = courtlistener.moment(now_us),
        cool_down_seconds = CASE WHEN now_us - courtlistener.unix_us(changed_at) < 60000000
                                 THEN least(greatest(shortest_seconds, 2 * cool_down_seconds), 300) ELSE shortest_seconds END
    WHERE account = the_account RETURNING epoch, cool_down_seconds INTO new_epoch, new_cool_down_seconds;
    -- Those that waited here when Redis took over have queued there since.
    DELETE FROM courtlistener.permit_waiters WHERE account = the_account;
END $$;

-- Grant permits to one account while Postgres decides, or say how long to wait: the rule of `lua/acquire.lua`, by counting
-- the journal. Takes the ledger over first if Redis has failed since it was put in charge, `redis_failed_us_ago`. Windows
-- are longer by the share `drift_ppm` and by the tolerance, so that what goes unnoticed of a clock grants nothing too
-- early. All that is computed with are integer microseconds; `clock_us` replaces the clock in simulations.
--   granted: `at_us` is when; wait: `wait_us`, `ahead`; blocked: `reason`; fenced: Redis is in charge; unknown: no account
CREATE FUNCTION courtlistener.acquire_permits(
    the_account text, request_ids text[], is_priority boolean, reserve_thousandths bigint, ttl_us bigint,
    silence_us bigint, grace_us bigint, drift_ppm bigint, redis_failed_us_ago bigint, shortest_cool_down_seconds double precision,
    clock_us bigint,
    OUT decision text, OUT current_epoch bigint, OUT at_us bigint, OUT wait_us bigint, OUT ahead bigint, OUT reason text,
    OUT now_us bigint, OUT corrected_us bigint, OUT tolerance_us bigint
) LANGUAGE plpgsql AS $$
DECLARE
    wanted CONSTANT bigint := cardinality(request_ids);
    needed bigint;
    ledger courtlistener.ledgers;
    held_us bigint;
    throttled_us bigint;
    quota record;
    free bigint;
    reserved bigint;
    room bigint;
    score bigint;
    quota_wait_us bigint;
BEGIN
    -- A grant that a crash of the server made it forget could be granted again.
    IF current_setting('synchronous_commit') = 'off' THEN PERFORM set_config('synchronous_commit', 'on', true); END IF;
    SELECT * INTO ledger FROM courtlistener.ledgers WHERE account = the_account FOR UPDATE;
    IF NOT FOUND THEN decision := 'unknown'; RETURN; END IF;
    now_us := coalesce(clock_us, courtlistener.unix_us(clock_timestamp()));
    corrected_us := ledger.clock_corrected_us;
    tolerance_us := (SELECT least(250000, min((entry->>'seconds')::bigint) * 10000)
                     FROM jsonb_array_elements(ledger.windows) AS entry);
    current_epoch := ledger.epoch;

    IF ledger.holder <> 'postgres' THEN
        held_us := now_us - courtlistener.unix_us(ledger.changed_at);
        -- If the clock has gone back behind the change, nobody can say which was first; what is recent is believed.
        IF held_us < 0 THEN held_us := 60000000; END IF;
        IF redis_failed_us_ago IS NULL OR redis_failed_us_ago > held_us THEN decision := 'fenced'; RETURN; END IF;
        SELECT new_epoch INTO current_epoch
        FROM courtlistener.take_ledger_over(the_account, now_us, shortest_cool_down_seconds);
    END IF;
    IF ledger.blocked <> '' THEN decision := 'blocked'; reason := ledger.blocked; RETURN; END IF;

    -- The same request gets the same permit.
    SELECT courtlistener.unix_us(granted_at) INTO at_us
    FROM courtlistener.permits WHERE account = the_account AND request_id = request_ids[1];
    IF FOUND THEN decision := 'granted'; RETURN; END IF;

    DELETE FROM courtlistener.permit_waiters
    WHERE account = the_account AND deadline <= courtlistener.moment(now_us);
    SELECT count(*) INTO ahead FROM courtlistener.permit_waiters
    WHERE account = the_account
      AND (priority > is_priority OR priority = is_priority AND ticket < coalesce(
          (SELECT ticket FROM courtlistener.permit_waiters WHERE account = the_account AND request_id = request_ids[1]),
          9223372036854775807));
    needed := ahead + wanted;

    wait_us := greatest(0, courtlistener.unix_us(ledger.held_until) - now_us);
    throttled_us := courtlistener.unix_us(ledger.throttled_at);
    -- For an hour after a refusal no more are in flight than have been answered since, and one.
    IF now_us - throttled_us BETWEEN -1000000 AND 3600000000 - 1 AND needed > 1 + (
        SELECT count(*) FILTER (WHERE outcome = 'counted' AND granted_at > ledger.throttled_at)
             - count(*) FILTER (WHERE ages_from > courtlistener.moment(now_us))
        FROM courtlistener.permits WHERE account = the_account AND ages_from > ledger.throttled_at)
    THEN wait_us := greatest(wait_us, 100000); END IF;
    FOR quota IN
        SELECT entry.limit, entry.foreign, entry.foreign_until_us - now_us AS foreign_us,
               entry.seconds * (1000000 + drift_ppm) + CASE WHEN drift_ppm > 0 THEN tolerance_us ELSE 0 END AS window_us
        FROM jsonb_to_recordset(ledger.windows)
             AS entry ("limit" bigint, seconds bigint, "foreign" bigint, foreign_until_us bigint)
    LOOP
        free := greatest(0, quota.limit - CASE WHEN quota.foreign_us > 0 THEN quota.foreign ELSE 0 END);
        -- All permits have the whole limit, and those of the backfill lane the rest of the reserve, but one at least.
        reserved := CASE WHEN is_priority THEN 0 ELSE least(quota.limit * reserve_thousandths / 1000, free - 1) END;
        FOR lanes IN 0 .. CASE WHEN reserved > 0 THEN 1 ELSE 0 END LOOP
            room := free - lanes * reserved;
            IF room < wanted THEN
                quota_wait_us := CASE WHEN quota.foreign_us > 0 THEN quota.foreign_us ELSE quota.window_us END;
            ELSE
                -- One slot for each waiter before us and `wanted` for us; waiters beyond the limit wait whole cycles. A
                -- permit in flight can be settled now at the earliest.
                score := (
                    SELECT CASE WHEN settled_at IS NULL THEN least(courtlistener.unix_us(ages_from), now_us)
                                ELSE courtlistener.unix_us(ages_from) END
                    FROM courtlistener.permits
                    WHERE account = the_account AND ages_from IS NOT NULL AND (lanes = 0 OR NOT priority)
                    ORDER BY ages_from DESC LIMIT 1 OFFSET room - (needed - 1) % room - 1);
                quota_wait_us := greatest(0, coalesce(score + quota.window_us - now_us, 0))
                                 + (needed - 1) / room * quota.window_us;
                IF quota.foreign_us > 0 THEN quota_wait_us := least(quota_wait_us, quota.foreign_us); END IF;
            END IF;
            wait_us := greatest(wait_us, quota_wait_us);
        END LOOP;
    END LOOP;

    IF wait_us > 0 THEN
        INSERT INTO courtlistener.permit_waiters (account, request_id, priority, deadline)
        SELECT the_account, id, is_priority, courtlistener.moment(now_us + least(wait_us, silence_us) + grace_us)
        FROM unnest(request_ids) AS id
        ON CONFLICT (account, request_id) DO UPDATE SET deadline = excluded.deadline;
        decision := 'wait';
        RETURN;
    END IF;
    INSERT INTO courtlistener.permits (account, request_id, epoch, holder, granted_at, ages_from, priority)
    SELECT the_account, id, current_epoch, 'postgres', courtlistener.moment(now_us), courtlistener.moment(now_us + ttl_us),
           is_priority
    FROM unnest(request_ids) AS id;
    DELETE FROM courtlistener.permit_waiters WHERE account = the_account AND request_id = ANY (request_ids);
    decision := 'granted';
    at_us := now_us;
END $$;

-- The request of a permit is over, whoever granted it; `elapsed_us` after the grant by the worker's own clock, which counts
-- if the server's has gone back meanwhile, and may come again. Returns whether it had been in flight.
CREATE FUNCTION courtlistener.settle_permit(
    the_account text, the_request text, the_outcome text, elapsed_us bigint, clock_us bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    now CONSTANT timestamptz := coalesce(courtlistener.moment(clock_us), clock_timestamp());
BEGIN
    -- Nobody waits for the disk: a permit that a crash of the server leaves in flight is wasted for a while, no more.
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE courtlistener.permits
    SET settled_at = now, outcome = the_outcome,
        ages_from = CASE the_outcome
            WHEN 'counted' THEN greatest(now, granted_at + elapsed_us * interval '1 microsecond')
            WHEN 'unanswered' THEN greatest(ages_from, now) END
    WHERE account = the_account AND request_id = the_request AND settled_at IS NULL;
    RETURN FOUND;
END $$;

-- Journal what Redis has granted, if it is still in charge under the epoch. `refusal` says why not: "epoch", or "copy" if
-- Redis must have an older copy of its keys, since it gives numbers again: the journal has the number, or a later one that
-- was granted earlier, or an earlier one that was granted later. FOR SHARE: a take-over that counts the journal waits for
-- this insert, or this insert sees the new epoch. `clock_us` replaces the clock in simulations.
CREATE FUNCTION courtlistener.journal_permits(
    the_account text, the_epoch bigint, request_ids text[], last_serial bigint, granted_us bigint, is_priority boolean,
    ttl_us bigint, clock_us bigint,
    OUT refusal text, OUT now_us bigint, OUT offset_us bigint, OUT tolerance_us bigint, OUT corrected_us bigint
) LANGUAGE plpgsql AS $$
DECLARE
    wanted CONSTANT integer := cardinality(request_ids);
    written integer;
    granted timestamptz;
BEGIN
    -- A grant that a crash of the server made it forget could be granted again.
    IF current_setting('synchronous_commit') = 'off' THEN PERFORM set_config('synchronous_commit', 'on', true); END IF;
    SELECT clock_offset_us, clock_tolerance_us, clock_corrected_us INTO offset_us, tolerance_us, corrected_us
    FROM courtlistener.ledgers WHERE account = the_account AND epoch = the_epoch AND holder = 'redis' FOR SHARE;
    IF NOT FOUND THEN refusal := 'epoch'; RETURN; END IF;
    now_us := coalesce(clock_us, extract(epoch FROM clock_timestamp()) * 1000000);
    granted := timestamptz 'epoch' + now_us * interval '1 microsecond';
    IF last_serial > 0 AND (
        (SELECT redis_us FROM courtlistener.permits
         WHERE account = the_account AND epoch = the_epoch AND serial > last_serial ORDER BY serial LIMIT 1) < granted_us
        OR (SELECT redis_us FROM courtlistener.permits
            WHERE account = the_account AND epoch = the_epoch AND serial < last_serial ORDER BY serial DESC LIMIT 1)
           > granted_us
    ) THEN refusal := 'copy'; RETURN; END IF;
    INSERT INTO courtlistener.permits
        (account, request_id, epoch, holder, granted_at, ages_from, priority, serial, redis_us)
    SELECT the_account, id, the_epoch, 'redis', granted, granted + ttl_us * interval '1 microsecond', is_priority,
           CASE WHEN last_serial > 0 THEN last_serial - wanted + place END, granted_us
    FROM unnest(request_ids) WITH ORDINALITY AS request (id, place)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written = wanted THEN RETURN; END IF;
    -- The same request has asked before, and did not get its answer.
    UPDATE courtlistener.permits
    SET epoch = the_epoch, holder = 'redis', granted_at = granted, ages_from = granted + ttl_us * interval '1 microsecond'
    WHERE account = the_account AND request_id = ANY (request_ids) AND settled_at IS NULL;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written < wanted THEN refusal := 'copy'; END IF;
END $$;

-- What all workers have counted since the beginning, for metrics: a worker lives for seconds, its counts stay.
CREATE TABLE courtlistener.worker_totals (
    -- As Prometheus names the sample, `..._total` or `..._bucket`.
    sample text NOT NULL,
    labels jsonb NOT NULL DEFAULT '{}',
    total  double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (sample, labels)
);

-- Which jurisdiction a court has, as CourtListener said; an empty one: none of those that it was asked for.
CREATE TABLE courtlistener.jurisdictions (
    court_id     text        PRIMARY KEY,
    jurisdiction text        NOT NULL,
    read_at      timestamptz NOT NULL DEFAULT now()
);
