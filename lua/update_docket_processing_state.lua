-- What a run has done since it last said so: counters, dockets, and failures for the lists of their hours, at once.
-- KEYS  1 pipeline (hash)  2 processed (zset)  3.. failed of an hour (list), one for each entry
-- ARGV  1 now, s since 1970  2 time to live of KEYS 1 and 2, ms  3 time to live of the lists, ms  4 dockets to keep
--       5 JSON: {"facts": {name: text}, "add": {counter: number}, "processed": [docket id], "failed": [docket id]}
--       6.. entries: JSON that begins with {"id": <number>,
-- Reply updated, dockets new in this run, dockets that failed for the first time in it
local pipeline, processed = KEYS[1], KEYS[2]
local now, ttl_ms, failed_ttl_ms, keep = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local update = cjson.decode(ARGV[5])

local function new(members, mark)
  local count = 0
  for _, member in ipairs(members) do count = count + redis.call('ZADD', processed, now, mark .. member) end
  return count
end
local add = update.add
add.processed_dockets, add.failed_dockets = new(update.processed, ''), new(update.failed, '!')
-- A run over many partitions takes days; the dockets of its older ones do not come again.
redis.call('ZREMRANGEBYRANK', processed, 0, -keep - 1)

redis.call('HSETNX', pipeline, 'started_at', now)
redis.call('HSET', pipeline, 'updated_at', now)
for name, text in pairs(update.facts) do redis.call('HSET', pipeline, name, text) end
for name, number in pairs(add) do redis.call('HINCRBY', pipeline, name, number) end
for _, key in ipairs({pipeline, processed}) do redis.call('PEXPIRE', key, ttl_ms) end

local known = {}
for i = 3, #KEYS do
  local list, id = KEYS[i], string.match(ARGV[i + 3], '^{"id": (%d+)')
  if not known[list] then
    known[list] = {}
    for _, entry in ipairs(redis.call('LRANGE', list, 0, -1)) do
      known[list][string.match(entry, '^{"id": (%d+)') or ''] = true
    end
  end
  if not known[list][id] then redis.call('RPUSH', list, ARGV[i + 3]) end
  redis.call('PEXPIRE', list, failed_ttl_ms)
end
return {'updated', add.processed_dockets, add.failed_dockets}
