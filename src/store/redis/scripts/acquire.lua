-- Takes a lock, unless somebody else has it. Who has it already, and asks again since no answer came, gets
-- the same answer.
-- KEYS: lock, fence counter. ARGV: holder, lease in ms, how long the counter stays in ms.
local held = redis.call('HMGET', KEYS[1], 'h', 'f')
if held[1] and held[1] ~= ARGV[1] then return false end
local fence = held[2]
if not fence then
  fence = tick(KEYS[2])
  redis.call('SET', KEYS[2], fence, 'PX', ARGV[3])
  redis.call('HSET', KEYS[1], 'h', ARGV[1], 'f', fence)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return fence
