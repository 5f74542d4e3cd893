-- The request of a permit is over: the permit ages from now on, or from the end of its time to live, or is given back.
-- KEYS  1 permits (zset)  2 epoch (hash)  3 counter of the hour (string)  4 rate_limit of the hour (string)
--       5 turn (hash)  6 permits of the priority lane (zset)
-- ARGV  1 request id  2 "counted", "unanswered" (it may reach the server until its time to live is over) or
--       "not_counted" (give it back)  3 time to live of a permit, us  4 clock for simulations, us, "" for the server's
--       5 channel of announcements  6 time since the grant by the worker's own clock, us
--       7 epoch, to do nothing in any other, or nothing
-- Reply settled, now us | unknown, now us (not in flight: settled before, aged out, lost with Redis' memory)
local permits, epoch, calls, charged, turn, urgent = unpack(KEYS)
local request_id, outcome, ttl_us = ARGV[1], ARGV[2], tonumber(ARGV[3])

local now_us = tonumber(ARGV[4])
if not now_us then
  local time = redis.call('TIME')
  now_us = time[1] * 1000000 + time[2]
end
local score = tonumber(redis.call('ZSCORE', permits, request_id) or 0)
local last_us, latency_us, number, throttled_us, answered = unpack(redis.call('HMGET', epoch, 'last_us', 'latency_us',
  'epoch', 'throttled_us', 'answered'))
-- An odd score is a permit in flight, an even one is settled. Without its state, nothing is known of the ledger.
if score % 2 == 0 or not (last_us and latency_us and throttled_us and answered) or (ARGV[7] or number) ~= number then
  return {'unknown', now_us}
end

-- If the clock has gone back since the grant, it may come again.
now_us = math.max(now_us, last_us, score - 1 - ttl_us + ARGV[6])
local head, floor_us, open = unpack(redis.call('HMGET', turn, 'head', 'floor_us', 'open'))

-- As in acquire.lua: the score of the nth youngest permit; of those of the backfill lane, if only these matter.
local function nth_score(nth, backfill)
  local passed = 0
  while true do
    local youngest = tonumber(redis.call('ZREVRANGE', permits, nth + passed - 1, nth + passed - 1, 'WITHSCORES')[2])
    local above = backfill and youngest and redis.call('ZCOUNT', urgent, youngest, '+inf') or passed
    if above == passed then return youngest end
    passed = above
  end
end

local function announce(turn_us)
  redis.call('HSET', turn, 'turn_us', string.format('%.0f', turn_us), 'open', '')
  redis.pcall('PUBLISH', ARGV[5], string.format('%.0f %s %.0f', turn_us - now_us + 1500000, head, turn_us - now_us))
end

if outcome == 'not_counted' then
  -- Not `-n`: Redis 7.0 reads the -0 of Lua as no integer.
  redis.call('ZREM', permits, request_id)
  redis.call('HINCRBY', epoch, 'count', -1)
  if redis.call('HMGET', epoch, 'last')[1] == request_id then redis.call('HSET', epoch, 'last', '') end
  redis.call('HINCRBY', epoch, 'urgent', 0 - redis.call('ZREM', urgent, request_id))
  if redis.call('EXISTS', charged) == 1 then redis.call('DECR', charged) end
  -- Whether there is room now, the first in line finds out.
  if head then announce(now_us) end
  return {'settled', now_us}
end
local ages_from_us = outcome == 'counted' and now_us or math.max(now_us, score - 1)
redis.call('ZADD', permits, 'XX', ages_from_us + ages_from_us % 2, request_id)
redis.call('ZADD', urgent, 'XX', ages_from_us + ages_from_us % 2, request_id)
if outcome == 'counted' then
  local granted_us = score - 1 - ttl_us
  local sample_us = math.max(0, now_us - granted_us)
  local mean_us = latency_us == '0' and sample_us or latency_us + (sample_us - latency_us) / 8
  -- Only what was granted after the last refusal shows that the server has room again.
  redis.call('HSET', epoch, 'latency_us', math.floor(mean_us),
    'answered', answered + (granted_us > tonumber(throttled_us) and 1 or 0))
end
redis.call('INCR', calls)
redis.call('PEXPIRE', calls, 90000000)
-- Its turn depended on when permits in flight would be settled.
if head and open ~= '' then
  local turn_us = math.max(now_us, floor_us)
  for nth, window_us, backfill in string.gmatch(open, '(%d+) (%d+) (%d);') do
    local youngest = nth ~= '0' and nth_score(nth, backfill == '1') or 0
    if youngest > now_us and youngest % 2 == 1 then return {'settled', now_us} end
    turn_us = math.max(turn_us, youngest + window_us)
  end
  announce(turn_us)
end
return {'settled', now_us}
