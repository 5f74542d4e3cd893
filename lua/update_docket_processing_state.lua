-- A page was stored: counters, the dockets done, and the failures of a run, at once.
-- KEYS  1 pipeline (hash)  2 processed (zset)  3 failed of the hour (list)
-- ARGV  1 now, s since 1970  2 time to live of KEYS 1 and 2, ms  3 time to live of KEYS[3], ms
--       4 pages  5 records  6 dockets to keep  7 number of docket ids
--       8.. docket ids, then failures: JSON that begins with {"id": <number>,
-- Reply updated, dockets new in this run, failures new in the list
local pipeline, processed, failed = KEYS[1], KEYS[2], KEYS[3]
local now, ttl_ms, failed_ttl_ms = ARGV[1], ARGV[2], ARGV[3]
local pages, records, keep, dockets = ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])

local new = 0
for i = 8, 7 + dockets do new = new + redis.call('ZADD', processed, now, ARGV[i]) end
-- A run over many partitions goes on for days; the dockets of its older ones do not come again.
redis.call('ZREMRANGEBYRANK', processed, 0, -keep - 1)

local known, filed = {}, 0
if #ARGV > 7 + dockets then
  for _, entry in ipairs(redis.call('LRANGE', failed, 0, -1)) do
    known[string.match(entry, '^{"id": (%d+)') or ''] = true
  end
  for i = 8 + dockets, #ARGV do
    if not known[string.match(ARGV[i], '^{"id": (%d+)')] then
      redis.call('RPUSH', failed, ARGV[i])
      filed = filed + 1
    end
  end
  redis.call('PEXPIRE', failed, failed_ttl_ms)
end

redis.call('HINCRBY', pipeline, 'processed_dockets', new)
redis.call('HINCRBY', pipeline, 'failed_dockets', filed)
redis.call('HINCRBY', pipeline, 'pages', pages)
redis.call('HINCRBY', pipeline, 'records', records)
redis.call('HSET', pipeline, 'updated_at', now)
redis.call('PEXPIRE', pipeline, ttl_ms)
redis.call('PEXPIRE', processed, ttl_ms)
return {'updated', new, filed}
