-- Grant permits for one account, or say how long to wait.
-- KEYS  1 permits (zset)  2 epoch (hash)  3 windows (hash)  4 waiters (zset)  5 waiter deadlines (zset)
--       6 rate_limit of the hour (string)
-- ARGV  1 time to live of a permit, us  2 reserve, thousandths of each limit  3 "1" for the priority lane
--       4 grace for a waiter, us  5 end of the hour of KEYS[6], us  6 limit shared through KEYS[6], 0 for none
--       7 clock for simulations, us, "" for the server's  8.. request ids
-- Reply granted, epoch, granted at us, now us | wait, us, ahead, now us | fenced, reason | blocked, reason
--       | hour, now us (KEYS[6] is not the hour's key)
local permits, epoch, windows, waiters, deadlines, charged = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local ttl_us, reserve, priority = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local grace_us, hour_end_us, shared_limit = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local first, count = ARGV[8], #ARGV - 7

local state = redis.call('HMGET', epoch, 'epoch', 'replid', 'last_us', 'count', 'latency_us')
if not state[1] then return {'fenced', 'no epoch'} end
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if replid ~= state[2] then return {'fenced', 'another server or a restart'} end
if redis.call('ZCARD', permits) ~= tonumber(state[4]) then return {'fenced', 'permits are missing'} end

local now_us = tonumber(ARGV[7])
if not now_us then
  local time = redis.call('TIME')
  now_us = time[1] * 1000000 + time[2]
end
local last_us = tonumber(state[3])
if last_us - now_us > 1000000 then return {'fenced', 'the clock went back'} end
now_us = math.max(now_us, last_us)

local held = redis.call('ZSCORE', permits, first)
if held then return {'granted', tonumber(state[1]), tonumber(held) - 1 - ttl_us, now_us} end
if now_us >= hour_end_us or now_us < hour_end_us - 3600000000 then return {'hour', now_us} end

local account = redis.call('HMGET', windows, 'spec', 'held_until_us', 'blocked', 'keep', 'keep_ms')
if account[3] ~= '' then return {'blocked', account[3]} end

-- The place among the waiters: those in the priority lane carry negative tickets, so that they come first.
local waiting, rank, ahead = redis.call('ZCARD', waiters), false, 0
if waiting > 0 then
  local gone = redis.call('ZRANGEBYSCORE', deadlines, '-inf', string.format('%.0f', now_us), 'LIMIT', 0, 500)
  if #gone > 0 then
    redis.call('ZREM', waiters, unpack(gone))
    redis.call('ZREM', deadlines, unpack(gone))
  end
  rank = redis.call('ZRANK', waiters, first)
  ahead = rank or (priority and redis.call('ZCOUNT', waiters, '-inf', '(0') or redis.call('ZCARD', waiters))
end

local wait_us = math.max(0, tonumber(account[2]) - now_us)
local latency_us = tonumber(state[5] or 0)
for limit, seconds, foreign, foreign_until_us in string.gmatch(account[1], '(%d+) (%d+) (%d+) (%d+);') do
  local window_us, room = seconds * 1000000, tonumber(limit)
  local until_us = tonumber(foreign_until_us)
  if until_us > now_us then room = math.max(0, room - foreign) end
  if not priority then room = math.max(math.min(room, 1), room - math.floor(limit * reserve / 1000)) end
  local window_wait_us = 0
  if room < count then
    window_wait_us = until_us > now_us and until_us - now_us or window_us
  else
    -- One slot for each waiter before us and `count` for us; waiters beyond the limit wait whole cycles.
    local needed = ahead + count
    local cycles = math.floor((needed - 1) / room)
    local nth = room - (needed - 1) % room
    local score = redis.call('ZREVRANGE', permits, nth - 1, nth - 1, 'WITHSCORES')[2]
    if score then
      score = tonumber(score)
      -- A permit in flight is expected to be settled one mean latency after its grant.
      if score > now_us then score = math.min(score, math.max(now_us, score - ttl_us + latency_us)) end
      window_wait_us = math.max(0, score + window_us - now_us)
    end
    window_wait_us = window_wait_us + cycles * (window_us + latency_us)
    if until_us > now_us then window_wait_us = math.min(window_wait_us, until_us - now_us) end
  end
  wait_us = math.max(wait_us, window_wait_us)
end
if shared_limit > 0 and tonumber(redis.call('GET', charged) or 0) + ahead + count > shared_limit then
  wait_us = math.max(wait_us, hour_end_us - now_us)
end

if wait_us > 0 then
  local deadline_us = string.format('%.0f', now_us + wait_us + grace_us)
  local ticket = rank and 0 or redis.call('HINCRBY', epoch, 'ticket', count)
  for i = 8, #ARGV do
    if not rank then redis.call('ZADD', waiters, ticket + i - (priority and 4503599627370496 or 0), ARGV[i]) end
    redis.call('ZADD', deadlines, deadline_us, ARGV[i])
  end
  local keep_ms = math.ceil((wait_us + grace_us) / 1000) + 60000
  redis.call('PEXPIRE', waiters, keep_ms)
  redis.call('PEXPIRE', deadlines, keep_ms)
  return {'wait', wait_us, ahead, now_us}
end

-- An odd score is a permit in flight, an even one is settled.
local granted_us = now_us - now_us % 2
local ages_from_us = granted_us + ttl_us + 1
for i = 8, #ARGV do redis.call('ZADD', permits, ages_from_us, ARGV[i]) end
if rank then
  redis.call('ZREM', waiters, unpack(ARGV, 8))
  redis.call('ZREM', deadlines, unpack(ARGV, 8))
end
local size = tonumber(state[4]) + count
local keep = tonumber(account[4])
if size > keep then
  redis.call('ZREMRANGEBYRANK', permits, 0, size - keep - 1)
  size = keep
end
redis.call('HSET', epoch, 'last_us', now_us, 'count', size)
-- Set once: another program that shares the key may have given it another time to live.
if redis.call('INCRBY', charged, count) == count then redis.call('PEXPIRE', charged, 90000000) end
for _, key in ipairs({permits, epoch, windows}) do redis.call('PEXPIRE', key, account[5]) end
return {'granted', tonumber(state[1]), granted_us, now_us}
