-- Gives a lock up, if it is still this holder's.
-- KEYS: lock. ARGV: holder.
if redis.call('HGET', KEYS[1], 'h') ~= ARGV[1] then return 'lost' end
redis.call('DEL', KEYS[1])
return 'done'
