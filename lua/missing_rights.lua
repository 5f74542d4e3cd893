-- Which of some commands the present user may not run on a key; runs none of them. Redis 7 or Valkey.
-- KEYS  1 a key with our prefix
-- ARGV  commands
-- Reply the commands that are refused
local refused = {}
for _, command in ipairs(ARGV) do
  -- All that a command may take for keys is ours.
  if not redis.acl_check_cmd(command, KEYS[1], KEYS[1], KEYS[1]) then table.insert(refused, command) end
end
return refused
