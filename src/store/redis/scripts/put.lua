-- Keeps a login.
-- KEYS: the logins of the owner, the login. ARGV: name, life in ms, the most that an owner has, what the
-- keys of the owner's logins begin with, bytes.
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[2])
  redis.call('ZREM', KEYS[1], ARGV[1])
  return 'done'
end
redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[2])
redis.call('ZREM', KEYS[1], ARGV[1])
local names = redis.call('ZRANGE', KEYS[1], 0, -1)
local kept = {}
for _, name in ipairs(names) do
  if redis.call('EXISTS', ARGV[4] .. name) == 1 then
    kept[#kept + 1] = name
  else
    redis.call('ZREM', KEYS[1], name)
  end
end
for at = 1, #kept + 1 - tonumber(ARGV[3]) do
  redis.call('DEL', ARGV[4] .. kept[at])
  redis.call('ZREM', KEYS[1], kept[at])
end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('ZADD', KEYS[1], (tonumber(last[2] or '0') or 0) + 1, ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 'done'
