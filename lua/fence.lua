-- Whether this server still holds what was written under an epoch, and its clock has not gone back since.
-- KEYS  1 permits (zset)  2 epoch (hash)  3 permits of the priority lane (zset)
-- ARGV  1 epoch  2 clock for simulations, us, "" for the server's
-- Reply 1 if it does, 0 if it does not
local permits, epoch, urgent = KEYS[1], KEYS[2], KEYS[3]
local state = redis.call('HMGET', epoch, 'epoch', 'replid', 'last_us', 'count', 'latency_us', 'spec', 'held_until_us',
  'blocked', 'keep', 'keep_ms', 'urgent', 'throttled_us', 'answered', 'last', 'ticket', 'serial')
for _, value in ipairs(state) do
  if not value then return 0 end
end
local number, replid, last_us, count, urgent_count, last = state[1], state[2], state[3], state[4], state[11], state[14]
local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if number ~= ARGV[1] or replid ~= server then return 0 end
local now_us = tonumber(ARGV[2])
if not now_us then
  local time = redis.call('TIME')
  now_us = time[1] * 1000000 + time[2]
end
if last_us - now_us > 1000000 then return 0 end
if redis.call('ZCARD', permits) ~= tonumber(count) then return 0 end
if last ~= '' and not redis.call('ZSCORE', permits, last) then return 0 end
return redis.call('ZCARD', urgent) == tonumber(urgent_count) and 1 or 0
