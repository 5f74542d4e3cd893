-- Whether this server still holds what was written under an epoch, and its clock has not gone back since.
-- KEYS  1 permits (zset)  2 epoch (hash)
-- ARGV  1 epoch  2 clock for simulations, us, "" for the server's
-- Reply 1 if it does, 0 if it does not
local permits, epoch = KEYS[1], KEYS[2]
local state = redis.call('HMGET', epoch, 'epoch', 'replid', 'count', 'last_us')
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if state[1] ~= ARGV[1] or state[2] ~= replid then return 0 end
local now_us = tonumber(ARGV[2])
if not now_us then
  local time = redis.call('TIME')
  now_us = time[1] * 1000000 + time[2]
end
if state[4] - now_us > 1000000 then return 0 end
return redis.call('ZCARD', permits) == tonumber(state[3]) and 1 or 0
