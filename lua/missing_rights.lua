-- Which of some commands the present user may not run; runs none of them. Redis 7 or Valkey.
-- KEYS  1 a key with our prefix
-- ARGV  1 a channel with our prefix  2.. commands
-- Reply the commands that are refused
local refused = {}
for i = 2, #ARGV do
  -- All that a command may take for keys is ours.
  local name = KEYS[1]
  if ARGV[i] == 'publish' or ARGV[i] == 'subscribe' then name = ARGV[1] end
  if not redis.acl_check_cmd(ARGV[i], name, name, name) then table.insert(refused, ARGV[i]) end
end
return refused
