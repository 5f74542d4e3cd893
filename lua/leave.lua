-- Give up a place among the waiters.
-- KEYS  1 waiters (zset)  2 waiter deadlines (zset)
-- ARGV  request ids
-- Reply the number of places given up
redis.call('ZREM', KEYS[2], unpack(ARGV))
return redis.call('ZREM', KEYS[1], unpack(ARGV))
