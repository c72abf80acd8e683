"""The steps of presence that must be atomic, as Redis runs them.

Of each channel there is a hash of the processes that have sessions in it (KEYS[1]), and one of each process with these
sessions (KEYS[2] is that of the process that asks). An entry begins with the time since when its session is here.
All of them expire, unless they are renewed.
"""

from .scripts import Script

_KEEP = """
local function keep(ttl, process)
  redis.call('HSET', KEYS[1], process, '')
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('PEXPIRE', KEYS[2], ttl)
end
"""

# ARGV: how long they live, the process, how many come, id and entry of each, and the ids of those who leave. Returns
# how many of this process are there now, and the processes.
UPDATE = Script(f"""{_KEEP}
local come = tonumber(ARGV[3])
for i = 4, 3 + 2 * come, 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
for i = 4 + 2 * come, #ARGV do
  redis.call('HDEL', KEYS[2], ARGV[i])
end
local here = redis.call('HLEN', KEYS[2])
if here > 0 then
  keep(ARGV[1], ARGV[2])
else
  redis.call('HDEL', KEYS[1], ARGV[2])
end
local answer = redis.call('HKEYS', KEYS[1])
table.insert(answer, 1, here)
return answer
""")

# KEYS[3] and so on: the hashes of the other processes, of those that live first.
# ARGV: how long it lives, the process, id and entry of one session, how many there may be, whether others give
# way (1) or it has to (0), how many of the other processes live, and their names.
# Returns -1 and the processes if not all were named; 0; or 1 and the ids of those that gave way, the oldest.
# What a dead process left is removed.
ADMIT = Script(f"""{_KEEP}
local ttl, process, id, limit, living = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[7])
local named = {{[process] = true}}
for i = 8, #ARGV do
  named[ARGV[i]] = true
end
local answer = redis.call('HKEYS', KEYS[1])
for _, other in ipairs(answer) do
  if not named[other] then
    table.insert(answer, 1, -1)
    return answer
  end
end
for i = 3 + living, #KEYS do
  redis.call('DEL', KEYS[i])
  redis.call('HDEL', KEYS[1], ARGV[i + 5])
end
local excess = redis.call('HGET', KEYS[2], id) and -limit or 1 - limit
for i = 2, 2 + living do
  excess = excess + redis.call('HLEN', KEYS[i])
end
if excess > 0 and ARGV[6] == '0' then
  return {{0}}
end
answer = {{1}}
if excess > 0 then
  local others = {{}}
  for key = 2, 2 + living do
    local all = redis.call('HGETALL', KEYS[key])
    for i = 1, #all, 2 do
      if all[i] ~= id then
        table.insert(others, {{since = tonumber(string.match(all[i + 1], '^%d+')), id = all[i], key = KEYS[key]}})
      end
    end
  end
  table.sort(others, function(one, other) return one.since < other.since end)
  for i = 1, math.min(excess, #others) do
    redis.call('HDEL', others[i].key, others[i].id)
    table.insert(answer, others[i].id)
  end
end
redis.call('HSET', KEYS[2], id, ARGV[4])
keep(ttl, process)
return answer
""")

# KEYS[2] is that of a process that does not live. ARGV: its name.
FORGET = Script("""
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return 1
""")
