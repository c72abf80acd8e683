"""What is done in Redis in one step, in Lua.

A channel's stream is a hash, and a list of the last publications. The list expires before the hash
does: a client that missed nothing is told so for longer. The hash holds the epoch (e), the offset
of the last publication (s), the run of the server that wrote them (r), and the epochs before with
the last offset of each (p, ``epoch:offset,...``).

A server that was started again, or took over from another, may have lost what the one before gave
out last: with its first step in a stream another epoch begins. The offsets go on. A position of an
epoch before is good as far as the stream went when that ended. What lies beyond was lost, and is
never taken for what was published later.
"""

import hashlib


class Script:
    """One script, and the name by which Redis knows it once it has run."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


# Returns epoch, top, the epochs before, and what INFO says. A stream that is nowhere yet begins
# with the epoch ``fresh`` if ``begin`` is set. One whose top is below a position that somebody has
# in its epoch lost what came after, whoever wrote it.
STREAM = """
local function stream(fresh, begin, known, offset)
  local kept = redis.call('HMGET', KEYS[1], 'e', 's', 'r', 'p')
  local epoch, top, past = kept[1], tonumber(kept[2] or 0), kept[4] or ''
  local info = redis.pcall('INFO', 'server')
  if type(info) ~= 'string' then info = '' end
  local run = string.match(info, 'run_id:(%w+)') or kept[3] or ''
  if not epoch then
    if not begin then return '', 0, '', info end
    redis.call('HSET', KEYS[1], 'e', fresh, 'r', run)
    redis.call('HDEL', KEYS[1], 'p')
    redis.call('DEL', KEYS[2])
    return fresh, top, '', info
  end
  if (kept[3] and kept[3] ~= run) or (known == epoch and top < offset) then
    past = string.gsub(string.sub(epoch .. ':' .. top .. ',' .. past, 1, 120), '[^,]*$', '')
    redis.call('HSET', KEYS[1], 'e', fresh, 'r', run, 'p', past)
    return fresh, top, past, info
  end
  if not kept[3] then redis.call('HSET', KEYS[1], 'r', run) end
  return epoch, top, past, info
end

local function continues(epoch, past, known, offset)
  if known == '' or known == epoch then return true end
  local reach = math.huge
  for name, last in string.gmatch(past, '([^:,]+):(%d+)') do
    reach = math.min(reach, tonumber(last))
    if name == known then return offset <= reach end
  end
  return false
end
"""

# Adds to a stream and publishes; returns the place, and the body as it is kept. KEYS: hash, list.
# ARGV: where to publish, body without the time, size, milliseconds to keep the list and the hash, a
# new epoch.
ADD = (
    STREAM
    + """
local function add()
  local epoch, _, _, info = stream(ARGV[6], true, '', 0)
  local body = (string.match(info, 'server_time_usec:(%d+)%d%d%d') or '') .. ARGV[2]
  local place = redis.call('HINCRBY', KEYS[1], 's', 1) .. ':' .. epoch
  if redis.call('RPUSH', KEYS[2], body) > tonumber(ARGV[3]) then
    redis.call('LTRIM', KEYS[2], -tonumber(ARGV[3]), -1)
  end
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
  redis.call('PUBLISH', ARGV[1], place .. ':' .. body)
  return place, body
end
"""
)

# KEYS: as above, and with an idempotency key where its result is kept.
# ARGV: as above, and milliseconds to keep the result.
# Returns the place, or "=" and the first result of that key.
PUBLISH = Script(
    ADD
    + """
if KEYS[3] then
  local known = redis.call('GET', KEYS[3])
  if known then return '=' .. known end
end
local place = add()
if KEYS[3] then redis.call('SET', KEYS[3], place, 'PX', ARGV[7]) end
return place
"""
)

# A publication that is not kept, with an idempotency key. KEYS: its mark. ARGV: where to publish,
# message, and milliseconds to keep the mark. Returns "", or "=" and the first result of that key.
PUBLISH_ONCE = Script("""
local known = redis.call('GET', KEYS[1])
if known then return '=' .. known end
redis.call('SET', KEYS[1], '', 'PX', ARGV[3])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return ''
""")

# A sign of life. KEYS: says which node of a cluster publishes it. ARGV: where to publish, and what.
SIGN = Script("return redis.call('PUBLISH', ARGV[1], ARGV[2])")

# KEYS: hash, list, and the list of the inbox. ARGV: milliseconds to keep the hash, epoch and offset
# of a position that is known to have been, 1 for a stream that is to begin, a new epoch, and a
# channel and a message to be published: what was published before has then come before it. Returns
# epoch, offset, and 1 if the inbox holds anything.
LOOK = Script(
    STREAM
    + """
local epoch, top = stream(ARGV[5], ARGV[4] == '1', ARGV[2], tonumber(ARGV[3]))
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
if ARGV[6] then redis.call('PUBLISH', ARGV[6], ARGV[7]) end
return {epoch, top, redis.call('EXISTS', KEYS[3])}
"""
)

# KEYS: hash, list. ARGV: a new epoch, milliseconds to keep the hash, the epoch and the offset to
# read after or, reversed, before (-1: none), how many (-1: all), 1 for reversed, how many bytes (a
# few publications more at most), and 1 to read from the beginning of this epoch where the position
# is lost; else nothing is read then.
# Returns epoch, top, whether the position is good, the last offset before this reading, what
# follows, and the epochs before with their last offsets.
READ = Script(
    STREAM
    + """
local epoch, top, past = stream(ARGV[1], true, '', 0)
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
local since, limit, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7])
local good = continues(epoch, past, ARGV[3], since)
if not good and ARGV[8] == '1' then
  since = tonumber(string.match(past, ':(%d+)') or 0)
elseif not good then
  limit = 0
end
local size = redis.call('LLEN', KEYS[2])
local first = top - size + 1
local from, to = math.max(first, since + 1), top
if ARGV[6] == '1' then
  from = first
  if since >= 0 then to = math.min(top, since - 1) end
  if limit > 0 then from = math.max(first, to - limit + 1) end
elseif limit > 0 then
  to = math.min(top, from + limit - 1)
end
if limit == 0 or from > to then
  return {epoch, top, good and 1 or 0, math.max(since, from - 1), {}, past}
end
local bodies, bytes, step = {}, 0, 16
local function read(start, stop)
  local part = redis.call('LRANGE', KEYS[2], start - first, stop - first)
  for _, body in ipairs(part) do bytes = bytes + #body end
  return part
end
if ARGV[6] == '1' then
  local at = to + 1
  while at > from and bytes < most do
    local start = math.max(from, at - step)
    local part = read(start, at - 1)
    for i = #part, 1, -1 do bodies[#bodies + 1] = part[i] end
    at = start
  end
  return {epoch, top, good and 1 or 0, at - 1, bodies, past}
end
local at = from
while at <= to and bytes < most do
  local stop = math.min(to, at + step - 1)
  for _, body in ipairs(read(at, stop)) do bodies[#bodies + 1] = body end
  at = stop + 1
end
return {epoch, top, good and 1 or 0, from - 1, bodies, past}
"""
)

# The processes that carry out commands are in a sorted set with the time, in milliseconds, until
# which each is taken for alive. It is the server's time, which no two processes disagree about.
NOW = """
local info = redis.pcall('INFO', 'server')
local time = type(info) == 'string' and string.match(info, 'server_time_usec:(%d+)') or 0
local now = math.floor(tonumber(time) / 1000)
"""

# KEYS: the set. ARGV: who is alive, and for how many milliseconds.
ALIVE = Script(
    NOW
    + """
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. now)
redis.call('PEXPIRE', KEYS[1], 10 * ARGV[2])
return 1
"""
)

# KEYS: the set. Returns who is alive.
WHO = Script(
    NOW
    + """
return redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')
"""
)

# Presence. Of each channel there is a hash of the processes that have sessions in it (KEYS[1]), and
# one of each process with these sessions (KEYS[2] is that of the process that asks). An entry
# begins with the time since when its session is here. All of them expire, unless they are renewed.
_KEEP = """
local function keep(ttl, process)
  redis.call('HSET', KEYS[1], process, '')
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('PEXPIRE', KEYS[2], ttl)
end
"""

# ARGV: how long they live, the process, how many come, id and entry of each, and the ids of those
# who leave. Returns how many of this process are there now, and, if none of those, the processes.
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
local answer = #ARGV > 3 and {{}} or redis.call('HKEYS', KEYS[1])
table.insert(answer, 1, here)
return answer
""")

# KEYS[3] and so on: the hashes of the other processes, of those that live first.
# ARGV: how long it lives, the process, id and entry of one session, how many there may be, whether
# others give way (1) or it has to (0), how many of the other processes live, and their names.
# Returns -1 and the processes if not all were named; 0; or 1 and the ids of those that gave way,
# the oldest. What a dead process left is removed.
ADMIT = Script(f"""{_KEEP}
local ttl, process, id = ARGV[1], ARGV[2], ARGV[3]
local limit, living = tonumber(ARGV[5]), tonumber(ARGV[7])
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
        local since = tonumber(string.match(all[i + 1], '^%d+'))
        table.insert(others, {{since = since, id = all[i], key = KEYS[key]}})
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
