-- Rewrite our own entries of a list of failed dockets; what other programs have pushed stays where it is.
-- KEYS  1 list
-- ARGV  1 time to live, ms  2 number of identities that follow  3.. identities of entries that are to go
--       then entries that are to stand there: JSON that begins with {"id": <number>, "failure": "<what it is>"
-- Reply refilled, entries in the list now
local list, ttl_ms, gone = KEYS[1], ARGV[1], tonumber(ARGV[2])
local identity = '^{"id": %d+, "failure": "[^"]*"'
local replaced = {}
for i = 3, 2 + gone do replaced[ARGV[i]] = true end
for i = 3 + gone, #ARGV do replaced[string.match(ARGV[i], identity)] = true end

local kept = {}
for _, entry in ipairs(redis.call('LRANGE', list, 0, -1)) do
  local own = string.match(entry, identity)
  if not (own and replaced[own]) then kept[#kept + 1] = entry end
end
redis.call('DEL', list)
for _, entry in ipairs(kept) do redis.call('RPUSH', list, entry) end
for i = 3 + gone, #ARGV do redis.call('RPUSH', list, ARGV[i]) end
redis.call('PEXPIRE', list, ttl_ms)
return {'refilled', redis.call('LLEN', list)}
