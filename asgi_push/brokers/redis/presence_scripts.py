"""The steps of presence that must be atomic, as Redis runs them.

KEYS are a channel's sorted set of expiries, in milliseconds of Redis's own clock, and its hash of entries, which begin
with the time since when a session is here.
"""

from .scripts import Script

_BEGIN = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function remove(id)
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end

local function put(id, entry, ttl)
  redis.call('ZADD', KEYS[1], now + ttl, id)
  redis.call('HSET', KEYS[2], id, entry)
end

local function keep(ttl)
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('PEXPIRE', KEYS[2], ttl)
end

local function purge(most)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, most)) do
    remove(id)
  end
end
"""

# ARGV: how long they live, how many come, id and entry of each, and the ids of those who leave.
UPDATE = Script(f"""{_BEGIN}
purge(100)
local ttl, come = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 3, 2 + 2 * come, 2 do
  put(ARGV[i], ARGV[i + 1], ttl)
end
if come > 0 then
  keep(ttl)
end
for i = 3 + 2 * come, #ARGV do
  remove(ARGV[i])
end
""")

# ARGV: how long it lives, id and entry of one session, how many there may be, and whether others give way (1) or it has
# to (0). Returns 0, or 1 and the ids of those that gave way, the oldest.
ADMIT = Script(f"""{_BEGIN}
purge(-1)
local ttl, id, limit = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[4])
local excess = redis.call('ZCARD', KEYS[1]) + 1 - limit
if redis.call('ZSCORE', KEYS[1], id) then
  excess = excess - 1
end
if excess > 0 and ARGV[5] == '0' then
  return {{0}}
end
local answer = {{1}}
if excess > 0 then
  local others = {{}}
  local all = redis.call('HGETALL', KEYS[2])
  for i = 1, #all, 2 do
    if all[i] ~= id then
      table.insert(others, {{since = tonumber(string.match(all[i + 1], '^%d+')), id = all[i]}})
    end
  end
  table.sort(others, function(one, other) return one.since < other.since end)
  for i = 1, math.min(excess, #others) do
    remove(others[i].id)
    table.insert(answer, others[i].id)
  end
end
put(id, ARGV[3], ttl)
keep(ttl)
return answer
""")

# Returns id and entry of each, one after the other.
MEMBERS = Script(f"""{_BEGIN}
purge(-1)
return redis.call('HGETALL', KEYS[2])
""")

# Returns how many there are.
ONLINE = Script(f"""{_BEGIN}
return redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf')
""")
