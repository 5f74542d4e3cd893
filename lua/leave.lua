-- Give up a place in the line.
-- KEYS  1 line (zset)  2 line deadlines (zset)
-- ARGV  request ids
-- Reply the number of places given up
redis.call('ZREM', KEYS[2], unpack(ARGV))
return redis.call('ZREM', KEYS[1], unpack(ARGV))
