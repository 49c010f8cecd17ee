-- Deletes a record.
-- KEYS: record, index. ARGV: expected version or '', id, what index keys of tags begin with.
local known = redis.call('HMGET', KEYS[1], 'v', 't')
if known[1] and ARGV[1] ~= '' and known[1] ~= ARGV[1] then return 'conflict' end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
for tag in string.gmatch(known[2] or '', '%S+') do redis.call('ZREM', ARGV[3] .. tag, ARGV[2]) end
return 'done'
