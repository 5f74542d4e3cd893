-- Move failed dockets to the list where they stand now; they are removed from the lists where they may have stood.
-- KEYS  1 destination (list)  2.. sources (lists); with no append, all of them are sources
-- ARGV  1 "1" to append the entries to KEYS[1], "0" to remove them only  2 time to live of KEYS[1], ms
--       3.. entries: JSON that begins with {"id": <number>, "failure": "<what it is>"
-- Reply moved, entries that stood in one of the lists
local append, ttl_ms = ARGV[1] == '1', ARGV[2]
-- The id alone is not enough: another program may have pushed an entry with a number of its own.
local identity = '^{"id": %d+, "failure": "[^"]*"'
local wanted = {}
for i = 3, #ARGV do wanted[string.match(ARGV[i], identity)] = true end

-- An entry carries its number of tries, so the same failure may stand here under an older text.
local found = 0
for _, list in ipairs(KEYS) do
  for _, entry in ipairs(redis.call('LRANGE', list, 0, -1)) do
    local own = string.match(entry, identity)
    if own and wanted[own] then found = found + redis.call('LREM', list, 1, entry) end
  end
end
if append then
  for i = 3, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[i]) end
  redis.call('PEXPIRE', KEYS[1], ttl_ms)
end
return {'moved', found}
