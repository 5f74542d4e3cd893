-- Give up places among the waiters.
-- KEYS  1 waiters (zset)  2 waiter deadlines (zset)  3 turn (hash)
-- ARGV  1 channel of announcements  2 clock for simulations, us, "" for the server's  3.. request ids
-- Reply the number of places given up
local waiters, deadlines, turn = KEYS[1], KEYS[2], KEYS[3]
local left = 0
for i = 3, #ARGV do  -- One by one: Lua unpacks no more than 8,000.
  left = left + redis.call('ZREM', waiters, ARGV[i])
  redis.call('ZREM', deadlines, ARGV[i])
end
local told_head, head = redis.call('HMGET', turn, 'head')[1], redis.call('ZRANGE', waiters, 0, 0)[1]
if left > 0 and not head then
  redis.call('DEL', turn)
elseif left > 0 and told_head and told_head ~= head then
  local now_us = tonumber(ARGV[2])
  if not now_us then
    local time = redis.call('TIME')
    now_us = time[1] * 1000000 + time[2]
  end
  -- The next in line finds out when its turn is.
  redis.call('HSET', turn, 'head', head, 'turn_us', string.format('%.0f', now_us), 'open', '')
  redis.pcall('PUBLISH', ARGV[1], '1500000 ' .. head .. ' 0')
end
return left
