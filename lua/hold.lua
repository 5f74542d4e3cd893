-- The server has refused a request: grant nothing for a while, then step by step; at once, before the journal knows.
-- KEYS  1 epoch (hash)
-- ARGV  1 hold, us from now  2 clock for simulations, us, "" for the server's
-- Reply held, or fenced if there is no state that a rebuild has written
local epoch = KEYS[1]
local state = redis.call('HMGET', epoch, 'held_until_us', 'throttled_us', 'answered')
if not (state[1] and state[2] and state[3]) then return 'fenced' end
local now_us = tonumber(ARGV[2])
if not now_us then
  local time = redis.call('TIME')
  now_us = time[1] * 1000000 + time[2]
end
redis.call('HSET', epoch, 'throttled_us', string.format('%.0f', now_us), 'answered', 0,
  'held_until_us', string.format('%.0f', math.max(state[1], now_us + ARGV[1])))
return 'held'
