-- Grant permits for one account, or say how long to wait.
-- KEYS  1 permits (zset)  2 epoch (hash)  3 waiters (zset)  4 waiter deadlines (zset)
--       5 rate_limit of the hour (string)  6 turn (hash)  7 permits of the priority lane (zset)
-- ARGV  1 time to live of a permit, us  2 reserve, thousandths of each limit  3 "1" for the priority lane
--       4 grace for a waiter, us  5 end of the hour of KEYS[5], us  6 limit shared through KEYS[5], 0 for none
--       7 clock for simulations, us, "" for the server's  8 longest wait that the caller accepts, us
--       9 longest time until it asks again, us, "" if it hears announcements  10 channel of these  11.. request ids
-- Reply granted, epoch, granted at us, now us, serial of the last grant (0: granted before)
--       | wait, us, ahead, us until the caller must ask unless its turn is announced (-1: nothing is), now us
--       | fenced, reason | blocked, reason | hour, now us (KEYS[5] is not the hour's key)
local permits, epoch, waiters, deadlines, charged, turn, urgent = unpack(KEYS)
local ttl_us, reserve, priority = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local grace_us, hour_end_us, shared_limit = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local patience_us, silence_us, channel, first, count = tonumber(ARGV[8]), ARGV[9], ARGV[10], ARGV[11], #ARGV - 10
-- The first in line is late, and the others look after it; how long they have to answer when they are called.
local LATE_US, LOOK_US, ROLL_US = 1000000, 1500000, 1500000

local state = redis.call('HMGET', epoch, 'epoch', 'replid', 'last_us', 'count', 'latency_us', 'spec', 'held_until_us',
  'blocked', 'keep', 'keep_ms', 'urgent', 'throttled_us', 'answered', 'last', 'ticket', 'serial')
-- A part that was evicted or deleted is as bad as all of it.
for _, value in ipairs(state) do
  if not value then return {'fenced', 'the state is missing, or a part of it'} end
end
local number, replid, last_us, size, latency_us, spec, held_until_us, blocked, keep, keep_ms, urgent_size,
  throttled_us, answered, last = unpack(state)
local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if server ~= replid then return {'fenced', 'another server or a restart'} end
size, urgent_size, keep = tonumber(size), tonumber(urgent_size), tonumber(keep)
if redis.call('ZCARD', permits) ~= size or redis.call('ZCARD', urgent) ~= urgent_size then
  return {'fenced', 'permits are missing'}
end
-- As many as there should be, but of another time.
if last ~= '' and not redis.call('ZSCORE', permits, last) then return {'fenced', 'the last permit is missing'} end

local now_us = tonumber(ARGV[7])
if not now_us then
  local time = redis.call('TIME')
  now_us = time[1] * 1000000 + time[2]
end
if last_us - now_us > 1000000 then return {'fenced', 'the clock went back'} end
now_us = math.max(now_us, last_us)

local held = redis.call('ZSCORE', permits, first)
if held then return {'granted', tonumber(number), tonumber(held) - 1 - ttl_us, now_us, 0} end
if now_us >= hour_end_us or now_us < hour_end_us - 3600000000 then return {'hour', now_us} end
if blocked ~= '' then return {'blocked', blocked} end

-- The place among the waiters: those in the priority lane carry negative tickets, so that they come first.
local waiting, rank, ahead = redis.call('ZCARD', waiters), false, 0
if waiting ~= redis.call('ZCARD', deadlines) then
  -- A part of the line is lost: it forms again.
  redis.call('DEL', waiters, deadlines)
  redis.pcall('PUBLISH', channel, '1500000 * 0')
elseif waiting > 0 then
  local gone = redis.call('ZRANGEBYSCORE', deadlines, '-inf', string.format('%.0f', now_us), 'LIMIT', 0, 500)
  if #gone > 0 then
    redis.call('ZREM', waiters, unpack(gone))
    redis.call('ZREM', deadlines, unpack(gone))
  end
  rank = redis.call('ZRANK', waiters, first)
  ahead = rank or (priority and redis.call('ZCOUNT', waiters, '-inf', '(0') or redis.call('ZCARD', waiters))
end

-- The score of the nth youngest permit; of those of the backfill lane, if only these matter.
local function nth_score(nth, backfill)
  local passed = 0
  while true do
    local score = tonumber(redis.call('ZREVRANGE', permits, nth + passed - 1, nth + passed - 1, 'WITHSCORES')[2])
    local above = backfill and score and redis.call('ZCOUNT', urgent, score, '+inf') or passed
    if above == passed then return score end
    passed = above
  end
end

-- How long until a lane has `wanted` free slots beside those of the waiters `before`: as expected; if every permit in
-- flight that matters takes all its time; without these; and which these are, "rank window_us backfill;" each (rank 0:
-- any will do).
local function turn_of(before, wanted, in_priority)
  local needed = before + wanted
  local expected_us = math.max(0, held_until_us - now_us)
  if shared_limit > 0 and tonumber(redis.call('GET', charged) or 0) + needed > shared_limit then
    expected_us = math.max(expected_us, hour_end_us - now_us)
  end
  local latest_us, floor_us, open = expected_us, expected_us, ''
  -- For an hour after a refusal, no more are in flight than were answered since, and one: first one of them must end.
  local now = string.format('(%.0f', now_us)
  if now_us - throttled_us < 3600000000 and redis.call('ZCOUNT', permits, now, '+inf') + needed > answered + 1 then
    local score = redis.call('ZRANGEBYSCORE', permits, now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] or 0
    local ends_us = score % 2 == 1 and score - ttl_us + latency_us or tonumber(score)
    expected_us = math.max(expected_us, 100000, ends_us - now_us)
    latest_us, open = math.max(latest_us, score - now_us), '0 0 0;'
  end
  for limit, window_us, foreign, foreign_until_us in string.gmatch(spec, '(%d+) (%d+) (%d+) (%d+);') do
    local until_us = tonumber(foreign_until_us)
    local free = math.max(0, limit - (until_us > now_us and foreign or 0))
    -- What the priority lane has used of the reserve is not kept once more: all permits have the whole limit, and those
    -- of the backfill lane the rest of it, but one at least.
    local reserved = in_priority and 0 or math.min(math.floor(limit * reserve / 1000), free - 1)
    for backfill = 0, reserved > 0 and 1 or 0 do
      local room, wait_us, spare_us = free - backfill * reserved, 0, 0
      if room < wanted then
        wait_us = until_us > now_us and until_us - now_us or tonumber(window_us)
      else
        -- One slot for each waiter before us and `wanted` for us; waiters beyond the limit wait whole cycles.
        local cycles = math.floor((needed - 1) / room)
        local nth = room - (needed - 1) % room
        local score = nth_score(nth, backfill == 1)
        if score then
          -- A permit in flight is expected to be settled one mean latency after its grant.
          if score > now_us and score % 2 == 1 then
            local expected_score = math.min(score, math.max(now_us, score - ttl_us + latency_us))
            if until_us <= now_us then
              spare_us, open = score - expected_score, string.format('%s%d %s %d;', open, nth, window_us, backfill)
            end
            score = expected_score
          end
          wait_us = math.max(0, score + window_us - now_us)
        end
        wait_us = wait_us + cycles * (window_us + latency_us)
        if until_us > now_us then wait_us = math.min(wait_us, until_us - now_us) end
      end
      expected_us = math.max(expected_us, wait_us)
      latest_us = math.max(latest_us, wait_us + spare_us)
      if spare_us == 0 then floor_us = math.max(floor_us, wait_us) end
    end
  end
  return expected_us, latest_us, floor_us, open
end

local told_head, told_us, roll_us, mute = unpack(waiting > 0 and
  redis.call('HMGET', turn, 'head', 'turn_us', 'roll_us', 'mute') or {})
roll_us = tonumber(roll_us or 0)

local function publish(look_us, names)
  local reply = redis.pcall('PUBLISH', channel, string.format('%.0f%s', look_us, names))
  local refused = type(reply) == 'table'
  if refused ~= (mute == '1') then
    mute = refused and '1' or '0'
    redis.call('HSET', turn, 'mute', mute)
    redis.call('PEXPIRE', turn, keep_ms)
  end
end

local function remember(head, latest_us, floor_us, open)
  redis.call('HSET', turn, 'head', head, 'turn_us', string.format('%.0f', now_us + latest_us),
    'floor_us', string.format('%.0f', now_us + floor_us), 'open', open)
  redis.call('PEXPIRE', turn, keep_ms)
end

-- Say when the first in line may go, and those who may go at nearly the same time; returns when the first may.
local function announce()
  local line, names, head_us = redis.call('ZRANGE', waiters, 0, 3, 'WITHSCORES'), '', nil
  for i = 1, #line, 2 do
    local _, latest_us, floor_us, open = turn_of((i - 1) / 2, 1, tonumber(line[i + 1]) < 0)
    if i == 1 then
      head_us = latest_us
      remember(line[1], latest_us, floor_us, open)
    elseif open ~= '' or latest_us > head_us + 10000 then
      break
    end
    names = string.format('%s %s %.0f', names, line[i], latest_us)
  end
  publish(head_us + LOOK_US, names)
  return head_us
end

-- Whoever hears announcements must ask again now, or is taken for dead.
local function call_the_roll()
  roll_us = now_us + ROLL_US
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', deadlines, '+inf', '+inf', 'LIMIT', 0, 1000)) do
    if name ~= first then redis.call('ZADD', deadlines, string.format('%.0f', roll_us), name) end
  end
  redis.call('HSET', turn, 'roll_us', string.format('%.0f', roll_us))
  redis.call('PEXPIRE', turn, keep_ms)
  publish(ROLL_US, ' * 0')
end

local wait_us, latest_us, floor_us, open = turn_of(ahead, count, priority)
if wait_us > 0 then
  -- The caller would give up because of those before it, who may be dead: not before that is known.
  if ahead > 0 and wait_us > patience_us and patience_us > ROLL_US and turn_of(0, count, priority) <= patience_us then
    if not rank and now_us >= roll_us then call_the_roll() end
    if now_us < roll_us then wait_us = roll_us - now_us end
  end

  local last_ticket = rank and 0 or redis.call('HINCRBY', epoch, 'ticket', count)
  local deaf_us = silence_us == '' and mute == '1' and 3000000 or tonumber(silence_us)
  for i = 11, #ARGV do
    if not rank then
      redis.call('ZADD', waiters, last_ticket + i - #ARGV - (priority and 4503599627370496 or 0), ARGV[i])
    end
    local deadline_us = deaf_us and string.format('%.0f', now_us + math.min(wait_us, deaf_us) + grace_us) or '+inf'
    redis.call('ZADD', deadlines, deadline_us, ARGV[i])
  end
  redis.call('PEXPIRE', waiters, keep_ms)
  redis.call('PEXPIRE', deadlines, keep_ms)

  local head = redis.call('ZRANGE', waiters, 0, 0)[1]
  local look_us = latest_us
  if head == first then
    if told_head ~= head or tonumber(told_us) ~= now_us + latest_us then
      remember(head, latest_us, floor_us, open)
      if redis.call('ZCARD', waiters) > count then
        publish(latest_us + LOOK_US, string.format(' %s %.0f', head, latest_us))
      end
    end
  elseif told_head ~= head then
    look_us = announce() + LOOK_US
  else
    local deadline_us = redis.call('ZSCORE', deadlines, head)
    if deadline_us == 'inf' and told_us + LATE_US < now_us then
      call_the_roll()
      deadline_us = roll_us
    end
    look_us = math.max(told_us + LOOK_US, deadline_us == 'inf' and 0 or tonumber(deadline_us)) - now_us
  end
  return {'wait', wait_us, ahead, deaf_us and -1 or math.max(0, look_us), now_us}
end

-- An odd score is a permit in flight, an even one is settled.
local granted_us = now_us - now_us % 2
for i = 11, #ARGV do
  redis.call('ZADD', permits, granted_us + ttl_us + 1, ARGV[i])
  if priority then redis.call('ZADD', urgent, granted_us + ttl_us + 1, ARGV[i]) end
  if rank then
    redis.call('ZREM', waiters, ARGV[i])
    redis.call('ZREM', deadlines, ARGV[i])
  end
end
size, urgent_size = size + count, urgent_size + (priority and count or 0)
redis.call('ZREMRANGEBYRANK', permits, 0, -keep - 1)
redis.call('ZREMRANGEBYRANK', urgent, 0, -keep - 1)
redis.call('HSET', epoch, 'last_us', now_us, 'count', math.min(size, keep), 'urgent', math.min(urgent_size, keep),
  'last', first)
-- Set once: another program that shares the key may have given it another time to live.
if redis.call('INCRBY', charged, count) == count then redis.call('PEXPIRE', charged, 90000000) end
for _, key in ipairs({permits, urgent, epoch}) do redis.call('PEXPIRE', key, keep_ms) end
if waiting > 0 and redis.call('EXISTS', waiters) == 1 then
  announce()
elseif waiting > 0 then
  redis.call('DEL', turn)
end
return {'granted', tonumber(number), granted_us, now_us, redis.call('HINCRBY', epoch, 'serial', count)}
