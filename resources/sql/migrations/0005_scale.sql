-- What a large store needs: tables that joins can name, and indexes for what would otherwise be read as a whole.

-- The tables of the streams that queries join. Postgres keeps no statistics about a partitioned table by itself
-- (autovacuum leaves it alone), so joins of `records` with itself are planned blindly; those of its partitions are not.
CREATE TABLE IF NOT EXISTS courtlistener.dockets PARTITION OF courtlistener.records FOR VALUES IN ('dockets');
CREATE TABLE IF NOT EXISTS courtlistener.clusters PARTITION OF courtlistener.records FOR VALUES IN ('clusters');
CREATE TABLE IF NOT EXISTS courtlistener.opinions PARTITION OF courtlistener.records FOR VALUES IN ('opinions');
CREATE TABLE IF NOT EXISTS courtlistener.docket_entries
    PARTITION OF courtlistener.records FOR VALUES IN ('docket_entries');
CREATE TABLE IF NOT EXISTS courtlistener.recap_documents
    PARTITION OF courtlistener.records FOR VALUES IN ('recap_documents');

-- What has gone from a court lately? Few rows ever have.
CREATE INDEX records_court_gone ON courtlistener.records (court_id, gone_at) WHERE gone_at IS NOT NULL;

-- Retention looks for the oldest grants. In a block range index the ranges of freed pages span weeks as soon as young
-- rows move in, and then every look reads the whole journal.
DROP INDEX courtlistener.permits_by_grant;
CREATE INDEX permits_by_grant ON courtlistener.permits (granted_at);

-- What was resolved lately (the Redis lists that must be empty), and what so long ago that it goes.
CREATE INDEX failures_resolved ON courtlistener.failures (resolved_at) WHERE resolved_at IS NOT NULL;

-- When a day's quota is used up, thousands of partitions become due at once; a tick takes the first few.
CREATE INDEX deferrals_by_partition ON courtlistener.deferrals (partition, asset);
CREATE INDEX deferrals_requested ON courtlistener.deferrals (partition, asset) WHERE requested_at IS NOT NULL;
