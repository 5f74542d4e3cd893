-- Scripts that run inside Redis 7 or Valkey (Lua 5.1).
std = "lua51"
max_line_length = 120
read_globals = { "redis", "KEYS", "ARGV", "cjson", "cmsgpack", "bit", "struct" }
