-- Takes a login out.
-- KEYS: the logins of the owner, the login. ARGV: name.
local bytes = redis.call('GET', KEYS[2])
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[1], ARGV[1])
return bytes
