-- Put this server in charge of an account under a new epoch, with the permits that were collected from the journal.
-- KEYS  1 permits (zset)  2 epoch (hash)  3 windows (hash)  4 waiters (zset)  5 waiter deadlines (zset)
--       6 collected permits (zset), gone if there are none
-- ARGV  1 epoch  2 hold, us from now, 0 for none  3 reason of a block, "" for none  4 permits to keep
--       5 time to live of the keys, ms  6 "1" to keep the waiters
--       7 replication id and  8 clock, us, of the server when the collection began  9 number of collected permits
--       10 clock for simulations, us, "" for the server's
--       then for each window: limit, seconds, foreign, how long foreign counts, us
-- Reply rebuilt; incomplete if this is not the server, or not the clock, that the permits were collected with
local permits, epoch, windows, collected = KEYS[1], KEYS[2], KEYS[3], KEYS[6]
local now_us = tonumber(ARGV[10])
if not now_us then
  local time = redis.call('TIME')
  now_us = time[1] * 1000000 + time[2]
end
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local count = redis.call('ZCARD', collected)
if replid ~= ARGV[7] or now_us < tonumber(ARGV[8]) or count ~= tonumber(ARGV[9]) then return 'incomplete' end

local spec = {}
for i = 11, #ARGV, 4 do
  local until_us = ARGV[i + 2] == '0' and 0 or now_us + ARGV[i + 3]
  table.insert(spec, string.format('%s %s %s %.0f;', ARGV[i], ARGV[i + 1], ARGV[i + 2], until_us))
end

-- Other parts of the epoch hash (tickets of waiters, mean latency) outlive a rebuild.
redis.call('DEL', permits)
if count > 0 then redis.call('RENAME', collected, permits) end
if ARGV[6] ~= '1' then redis.call('DEL', KEYS[4], KEYS[5]) end
redis.call('HSET', epoch, 'epoch', ARGV[1], 'replid', replid, 'last_us', string.format('%.0f', now_us),
  'count', count)
redis.call('HSET', windows, 'spec', table.concat(spec), 'held_until_us', string.format('%.0f', now_us + ARGV[2]),
  'blocked', ARGV[3], 'keep', ARGV[4], 'keep_ms', ARGV[5])
for _, key in ipairs({permits, epoch, windows}) do redis.call('PEXPIRE', key, ARGV[5]) end
return 'rebuilt'
