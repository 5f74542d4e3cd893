-- The quota ledger: who is in charge, every permit ever granted, and who waits while Postgres decides.

CREATE TABLE courtlistener.ledgers (
    account text PRIMARY KEY,
    -- Raised by every change of holder and every rebuild of Redis: a grant of an older epoch is void.
    epoch bigint NOT NULL DEFAULT 0,
    holder text NOT NULL DEFAULT 'postgres' CHECK (holder IN ('redis', 'postgres')),
    -- When the holder last changed or Redis was last rebuilt because it had lost its memory.
    changed_at timestamptz NOT NULL DEFAULT 'epoch',
    -- How long Postgres keeps the ledger after taking it; doubled when Redis fails again soon.
    cool_down_seconds double precision NOT NULL DEFAULT 0,
    -- Postgres' clock minus Redis' clock at the last rebuild, microseconds.
    clock_offset_us bigint NOT NULL DEFAULT 0,
    -- [{"limit": 5, "seconds": 60, "foreign": 0, "foreign_until_us": 0}, ..], Unix microseconds.
    windows jsonb NOT NULL,
    not_before timestamptz NOT NULL DEFAULT 'epoch',
    blocked text NOT NULL DEFAULT '',
    observed_at timestamptz NOT NULL DEFAULT 'epoch',
    observation_claimed_at timestamptz NOT NULL DEFAULT 'epoch',
    throttled_at timestamptz NOT NULL DEFAULT 'epoch'
);

CREATE TABLE courtlistener.permits (
    account text NOT NULL REFERENCES courtlistener.ledgers (account),
    request_id text NOT NULL,
    epoch bigint NOT NULL,
    holder text NOT NULL,
    granted_at timestamptz NOT NULL,
    settled_at timestamptz,
    -- The moment from which the permit ages: the latest time of the answer, then its real time; null when given back.
    ages_from timestamptz,
    outcome text,
    PRIMARY KEY (account, request_id)
);
CREATE INDEX permits_by_age ON courtlistener.permits (account, ages_from DESC) WHERE ages_from IS NOT NULL;
-- Only retention looks for old grants, and a block range index costs next to nothing to keep.
CREATE INDEX permits_by_grant ON courtlistener.permits USING brin (granted_at);

CREATE TABLE courtlistener.permit_line (
    account text NOT NULL,
    request_id text NOT NULL,
    priority boolean NOT NULL,
    ticket bigint GENERATED ALWAYS AS IDENTITY,
    deadline timestamptz NOT NULL,
    PRIMARY KEY (account, request_id)
);
