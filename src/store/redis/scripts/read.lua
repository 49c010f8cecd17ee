-- Reads some of the records that an index names, and takes those out of it that are gone.
-- KEYS: index, records. ARGV: their ids, in the same order.
local found = {}
for at, id in ipairs(ARGV) do
  local known = redis.call('HMGET', KEYS[at + 1], 'v', 'b', 't')
  if known[1] then
    found[#found + 1] = { id, known[1], known[2], known[3] }
  else
    -- Of no consequence where this may not write.
    redis.pcall('ZREM', KEYS[1], id)
  end
end
return found
