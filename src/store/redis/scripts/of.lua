-- The logins of an owner, oldest first.
-- KEYS: the logins of the owner. ARGV: what their keys begin with.
local found = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local bytes = redis.call('GET', ARGV[1] .. name)
  if bytes then found[#found + 1] = { name, bytes } end
end
return found
