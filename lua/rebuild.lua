-- Write an account's permits and windows anew, under a new epoch, from the journal.
-- KEYS  1 permits (zset)  2 epoch (hash)  3 windows (hash)  4 line (zset)  5 line deadlines (zset)
-- ARGV  1 epoch  2 hold, us from now, 0 for none  3 reason of a block, "" for none  4 permits to keep
--       5 time to live of the keys, ms  6 number of windows
--       7 "1" to keep the line of waiters  8 clock for simulations, us, "" for the server's
--       then for each window: limit, seconds, foreign, how long foreign counts, us
--       then for each permit: request id, age, us (negative: ages from then on), "1" if in flight
-- Reply rebuilt, now us
local permits, epoch, windows = KEYS[1], KEYS[2], KEYS[3]
local now_us = tonumber(ARGV[8])
if not now_us then
  local time = redis.call('TIME')
  now_us = time[1] * 1000000 + time[2]
end

local spec, last = {}, 8 + 4 * tonumber(ARGV[6])
for i = 9, last, 4 do
  local until_us = ARGV[i + 2] == '0' and 0 or now_us + ARGV[i + 3]
  table.insert(spec, string.format('%s %s %s %.0f;', ARGV[i], ARGV[i + 1], ARGV[i + 2], until_us))
end

-- Other parts of the epoch hash (tickets of the line, mean latency) outlive a rebuild.
redis.call('DEL', permits)
if ARGV[7] ~= '1' then redis.call('DEL', KEYS[4], KEYS[5]) end
local batch, count = {}, 0
for i = last + 1, #ARGV, 3 do
  local ages_from_us = now_us - ARGV[i + 1]
  -- An odd score is a permit in flight, an even one is settled.
  batch[#batch + 1] = ages_from_us + ages_from_us % 2 + (ARGV[i + 2] == '1' and 1 or 0)
  batch[#batch + 1] = ARGV[i]
  -- Lua cannot pass many thousand arguments at once.
  if #batch >= 1000 or i + 3 > #ARGV then
    count = count + redis.call('ZADD', permits, unpack(batch))
    batch = {}
  end
end
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
redis.call('HSET', epoch, 'epoch', ARGV[1], 'replid', replid, 'last_us', string.format('%.0f', now_us),
  'count', count)
redis.call('HSET', windows, 'spec', table.concat(spec), 'not_before_us', string.format('%.0f', now_us + ARGV[2]),
  'blocked', ARGV[3], 'keep', ARGV[4], 'keep_ms', ARGV[5])
for _, key in ipairs({permits, epoch, windows}) do redis.call('PEXPIRE', key, ARGV[5]) end
return {'rebuilt', now_us}
