-- The response to a permit's request has arrived: the permit ages from now on, or is given back.
-- KEYS  1 permits (zset)  2 epoch (hash)  3 counter of the hour (string)  4 rate_limit of the hour (string)
-- ARGV  1 request id  2 "1" if the server counted the request, "0" to give the permit back
--       3 time to live of a permit, us  4 clock for simulations, us, "" for the server's
--       5 epoch, to do nothing in any other, or nothing
-- Reply settled, now us | unknown, now us (not in flight: settled before, aged out, lost with Redis' memory)
local permits, epoch, calls, charged = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local request_id, counted, ttl_us = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])

local now_us = tonumber(ARGV[4])
if not now_us then
  local time = redis.call('TIME')
  now_us = time[1] * 1000000 + time[2]
end
local score = tonumber(redis.call('ZSCORE', permits, request_id) or 0)
-- An odd score is a permit in flight, an even one is settled.
if score % 2 == 0 then return {'unknown', now_us} end

local state = redis.call('HMGET', epoch, 'last_us', 'latency_us', 'epoch')
if ARGV[5] and state[3] ~= ARGV[5] then return {'unknown', now_us} end
now_us = math.max(now_us, tonumber(state[1] or 0))
if counted then
  redis.call('ZADD', permits, 'XX', now_us + now_us % 2, request_id)
  local latency_us, sample_us = tonumber(state[2] or 0), math.max(0, now_us - (score - 1 - ttl_us))
  if latency_us == 0 then latency_us = sample_us end
  redis.call('HSET', epoch, 'latency_us', math.floor(latency_us + (sample_us - latency_us) / 8))
  redis.call('INCR', calls)
  redis.call('PEXPIRE', calls, 90000000)
else
  redis.call('ZREM', permits, request_id)
  redis.call('HINCRBY', epoch, 'count', -1)
  if redis.call('EXISTS', charged) == 1 then redis.call('DECR', charged) end
end
return {'settled', now_us}
