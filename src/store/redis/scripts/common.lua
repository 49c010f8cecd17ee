-- Begins every script. All keys that a script makes up lie in the slot of its first key.

-- Whether one number is lower than another. They are decimal texts, beyond what Lua counts exactly.
local function lower(one, other)
  if #one ~= #other then return #one < #other end
  return one < other
end

local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A number higher than every earlier one of this counter: the microseconds since 1970, or one more than the
-- last. A counter that is lost, with a failover or after long rest, goes on where it would be.
local function tick(counter)
  local time = redis.call('TIME')
  local number = time[1] * 1000000 + time[2]
  local last = tonumber(redis.call('GET', counter) or '0')
  if number <= last then number = last + 1 end
  return string.format('%.0f', number)
end

-- An index is a sorted set of ids by when their records end, and ends with the last of them.
local function enter(index, id, ends)
  redis.call('ZADD', index, ends, id)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', '(' .. string.format('%.0f', milliseconds()))
  local last = redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')
  -- There is none where the life of the only one has passed by now.
  if last[2] == 'inf' then
    redis.call('PERSIST', index)
  elseif last[2] then
    redis.call('PEXPIREAT', index, string.format('%.0f', tonumber(last[2]) + 1))
  end
end
