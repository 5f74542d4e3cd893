-- Put this server in charge of an account under a new epoch, with the permits that were collected from the journal.
-- KEYS  1 permits (zset)  2 epoch (hash)  3 waiters (zset)  4 waiter deadlines (zset)
--       5 collected permits (zset), gone if there are none  6 turn (hash)  7 permits of the priority lane (zset)
--       8 those of the collected permits that are of the priority lane (zset), gone if there are none
-- ARGV  1 epoch  2 hold, us from now, 0 for none  3 reason of a block, "" for none  4 permits to keep
--       5 time to live of the keys, ms  6 "1" to keep the waiters
--       7 replication id and  8 clock, us, of the server when the collection began  9 number of collected permits
--       10 of those of the priority lane  11 clock for simulations, us, "" for the server's  12 how long ago the last
--       refusal was, us, "" for never  13 how many requests sent since then were answered  14 channel of announcements
--       then for each window: limit, length, us, foreign, how long foreign counts, us
-- Reply rebuilt; incomplete if this is not the server, or not the clock, that the permits were collected with
local permits, epoch, waiters, deadlines, collected, turn, urgent, collected_urgent = unpack(KEYS)
local now_us = tonumber(ARGV[11])
if not now_us then
  local time = redis.call('TIME')
  now_us = time[1] * 1000000 + time[2]
end
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local count = redis.call('ZCARD', collected)
local urgent_count = redis.call('ZCARD', collected_urgent)
if replid ~= ARGV[7] or now_us < tonumber(ARGV[8]) then return 'incomplete' end
if count ~= tonumber(ARGV[9]) or urgent_count ~= tonumber(ARGV[10]) then return 'incomplete' end

local spec = {}
for i = 15, #ARGV, 4 do
  local until_us = ARGV[i + 2] == '0' and 0 or now_us + ARGV[i + 3]
  table.insert(spec, string.format('%s %s %s %.0f;', ARGV[i], ARGV[i + 1], ARGV[i + 2], until_us))
end

-- A refusal of which Postgres has not heard yet, as it hears later than this server: see hold.lua. Not one that it
-- knows, whose hold may be over by now, though clocks have drifted since.
local held_until_us, throttled_us, answered = now_us + ARGV[2], ARGV[12] == '' and 0 or now_us - ARGV[12], ARGV[13]
local old = redis.call('HMGET', epoch, 'throttled_us', 'held_until_us', 'answered')
if old[1] and old[2] and old[3] and old[1] - throttled_us > 1000000 + (now_us - throttled_us) / 1000 then
  throttled_us, answered, held_until_us = tonumber(old[1]), old[3], math.max(held_until_us, old[2])
end

redis.call('DEL', permits, urgent)
if count > 0 then redis.call('RENAME', collected, permits) end
if urgent_count > 0 then redis.call('RENAME', collected_urgent, urgent) end
-- Tickets and the mean latency outlive a rebuild. Without the last ticket, the order of the waiters is lost.
redis.call('HSETNX', epoch, 'latency_us', 0)
if redis.call('HSETNX', epoch, 'ticket', 0) == 1 or ARGV[6] ~= '1' then redis.call('DEL', waiters, deadlines) end
redis.call('HSET', epoch, 'epoch', ARGV[1], 'replid', replid, 'last_us', string.format('%.0f', now_us),
  'count', count, 'urgent', urgent_count, 'answered', answered, 'serial', 0, 'last', '', 'spec', table.concat(spec),
  'held_until_us', string.format('%.0f', held_until_us), 'blocked', ARGV[3], 'keep', ARGV[4], 'keep_ms', ARGV[5],
  'throttled_us', string.format('%.0f', throttled_us))
for _, key in ipairs({permits, urgent, epoch}) do redis.call('PEXPIRE', key, ARGV[5]) end
-- What the waiters were told is out of date: the first finds out when its turn is, or all do if they have lost their
-- places.
local head = redis.call('ZRANGE', waiters, 0, 0)[1]
redis.call('DEL', turn)
if head then
  redis.call('HSET', turn, 'head', head, 'turn_us', string.format('%.0f', now_us), 'open', '')
  redis.call('PEXPIRE', turn, ARGV[5])
end
redis.pcall('PUBLISH', ARGV[14], '1500000 ' .. (head or '*') .. ' 0')
return 'rebuilt'
