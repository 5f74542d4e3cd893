-- Take entries that other programs have pushed out of a list of failed dockets, each under a token of its own.
-- KEYS  1 failed (list)  2 taken (list)
-- ARGV  1 time to live of KEYS[2], ms  2.. token, entry, token, entry
-- Reply taken, entries that still stood in the list
local failed, taken = KEYS[1], KEYS[2]
local count = 0
redis.call('LLEN', taken)  -- Fails if it is no list, before anything is removed.
for i = 2, #ARGV, 2 do
  local token, entry = ARGV[i], ARGV[i + 1]
  -- Removed and kept at once: another sensor that has seen the same entry finds it no more.
  if redis.call('LREM', failed, 1, entry) == 1 then
    redis.call('RPUSH', taken, token .. ' ' .. entry)
    count = count + 1
  end
end
if count > 0 then redis.call('PEXPIRE', taken, ARGV[1]) end
return {'taken', count}
