-- Creates or replaces a record.
-- KEYS: record, version counter, index. ARGV: `create` or `replace`, expected version, fence or '',
-- life in ms or '', bytes to set aside, id, what index keys of tags begin with, tags, bytes.
local record, counter, index = KEYS[1], KEYS[2], KEYS[3]
local known = redis.call('HMGET', record, 'v', 'f', 't')
local fence = '0'
if ARGV[1] == 'create' then
  if known[1] then return 'exists' end
else
  if not known[1] then return 'conflict' end
  fence = known[2]
  if ARGV[3] ~= '' then fence = ARGV[3] end
  if lower(fence, known[2]) then return 'fenced' end
  if known[1] ~= ARGV[2] then return 'conflict' end
end

-- Redis lets a script that has begun to write go on though memory has run out, and begin with what frees
-- memory: what was set aside is given back first. Whatever comes first otherwise may be refused.
if redis.call('HEXISTS', record, 'p') == 1 then redis.call('HDEL', record, 'p') end
local version = tick(counter)
redis.call('SET', counter, version)
redis.call('HSET', record, 'v', version, 'f', fence, 'b', ARGV[9], 't', ARGV[8])
if ARGV[5] ~= '0' then redis.call('HSET', record, 'p', string.rep('.', tonumber(ARGV[5]))) end

local ends = '+inf'
if ARGV[4] == '' then
  redis.call('PERSIST', record)
else
  ends = string.format('%.0f', milliseconds() + ARGV[4])
  redis.call('PEXPIRE', record, ARGV[4])
end
for tag in string.gmatch(known[3] or '', '%S+') do redis.call('ZREM', ARGV[7] .. tag, ARGV[6]) end
for tag in string.gmatch(ARGV[8], '%S+') do enter(ARGV[7] .. tag, ARGV[6], ends) end
enter(index, ARGV[6], ends)
return version
