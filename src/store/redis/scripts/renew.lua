-- Holds a lock for another lease, if it is still this holder's.
-- KEYS: lock, fence counter. ARGV: holder, lease in ms, how long the counter stays in ms.
if redis.call('HGET', KEYS[1], 'h') ~= ARGV[1] then return 'lost' end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 'done'
