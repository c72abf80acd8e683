"""What is done with inboxes in one step, in Lua.

An inbox is a list and a hash. The list has an item for each publication, the oldest first:
``number:offset:epoch:expires:size:token``. The numbers go up by one, and items go from the head
only. The hash holds the last number (n), all sizes together (b), each publication's body by its
number, and by the token of one that may fall due ``number:due:attempt``.

Tokens that may fall due are in a sorted set, too, which belongs to all users: in a cluster it is on
another node. So a token is written there before its publication is, and taken away after it. The
times are the server's, in milliseconds.

So is the mark that inboxes are used at all: who connects looks for that first. It is written before
a publication is, and outlives it.
"""

from .scripts import ADD, Script

# TIME needs no rights that most users of a shared server lack, as INFO may.
_NOW = """
local function clock()
  local time = redis.pcall('TIME')
  if time[2] then return time[1] * 1000 + math.floor(time[2] / 1000) end
  local info = redis.pcall('INFO', 'server')
  local usec = type(info) == 'string' and string.match(info, 'server_time_usec:(%d+)') or 0
  return math.floor(tonumber(usec) / 1000)
end
"""

_INBOX = (
    _NOW
    + """
local function parse(item)
  local number, offset, epoch, expires, size, token =
    string.match(item, '^(%d+):(%d+):(.-):(%d+):(%d+):(.*)$')
  return tonumber(number), tonumber(offset), epoch, tonumber(expires), tonumber(size), token
end

local function remove(list, hash, items)
  local bytes, tokens = 0, {}
  for _, item in ipairs(items) do
    local number, _, _, _, size, token = parse(item)
    bytes = bytes + size
    redis.call('HDEL', hash, number)
    if token ~= '' then
      redis.call('HDEL', hash, token)
      tokens[#tokens + 1] = token
    end
  end
  redis.call('LTRIM', list, #items, -1)
  redis.call('HINCRBY', hash, 'b', 0 - bytes) -- -bytes may be -0, which is no integer
  return tokens
end

-- Returns the oldest items for which "wanted" gives true, up to the first for which it gives false;
-- what it gives nil for goes with the next that is wanted.
local function oldest(list, wanted)
  local found, taken, start = {}, 0, 0
  while true do
    local part = redis.call('LRANGE', list, start, start + 99)
    for _, item in ipairs(part) do
      local verdict = wanted(parse(item))
      if verdict == false then part = {} break end
      found[#found + 1] = item
      if verdict then taken = #found end
    end
    if #part < 100 then break end
    start = start + 100
  end
  for i = #found, taken + 1, -1 do found[i] = nil end
  return found
end

local function expire(list, hash)
  local now = clock()
  local over = oldest(list, function(_, _, _, expires) return expires <= now end)
  if #over > 0 then remove(list, hash, over) end
  return now
end
"""
)

# KEYS: hash and list of the stream, list and hash of the inbox, and with an idempotency key where
# its result is kept.
# ARGV: as of ADD, milliseconds to keep the result, how many publications and bytes the inbox may
# have and for how many milliseconds, milliseconds until this one is due, its size, its token.
# Returns the place, or "=" and the first result of that key; and how many went to make room.
KEEP = Script(
    ADD
    + _INBOX
    + """
if KEYS[5] then
  local known = redis.call('GET', KEYS[5])
  if known then return {'=' .. known, 0} end
end
local place, body = add()
if KEYS[5] then redis.call('SET', KEYS[5], place, 'PX', ARGV[7]) end
local list, hash, ttl, size, token = KEYS[3], KEYS[4], tonumber(ARGV[10]), ARGV[12], ARGV[13]
local now = expire(list, hash)
local number = redis.call('HINCRBY', hash, 'n', 1)
redis.call('RPUSH', list, table.concat({number, place, now + ttl, size, token}, ':'))
redis.call('HSET', hash, number, body)
if token ~= '' then redis.call('HSET', hash, token, number .. ':' .. (now + ARGV[11]) .. ':0') end
local bytes, many = redis.call('HINCRBY', hash, 'b', size), redis.call('LLEN', list)
local excess = oldest(list, function(_, _, _, _, size)
  if many <= tonumber(ARGV[8]) and bytes <= tonumber(ARGV[9]) then return false end
  many, bytes = many - 1, bytes - size
  return true
end)
if #excess > 0 then remove(list, hash, excess) end
for _, key in ipairs({list, hash}) do
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
end
return {place, #excess}
"""
)

# KEYS: the mark. ARGV: for how many milliseconds it must be there.
USE = Script("""
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
end
""")

# KEYS: list, hash. ARGV: the number to read after, and how many bytes (one publication more at
# most). Returns the items and the bodies, in turn.
UNCONFIRMED = Script(
    _INBOX
    + """
expire(KEYS[1], KEYS[2])
local first = redis.call('LRANGE', KEYS[1], 0, 0)[1]
if not first then return {} end
local answer, bytes = {}, 0
local start = math.max(0, tonumber(ARGV[1]) + 1 - parse(first))
while bytes < tonumber(ARGV[2]) do
  local item = redis.call('LRANGE', KEYS[1], start, start)[1]
  if not item then break end
  local body = redis.call('HGET', KEYS[2], (parse(item)))
  start = start + 1
  if body then
    bytes = bytes + #body
    answer[#answer + 1] = item
    answer[#answer + 1] = body
  end
end
return answer
"""
)

# KEYS: list, hash. ARGV: offset and epoch of the last that goes; without them all do.
# Returns how many went, and their tokens.
REMOVE = Script(
    _INBOX
    + """
expire(KEYS[1], KEYS[2])
local gone = oldest(KEYS[1], function(_, offset, epoch)
  if not ARGV[1] then return true end
  if epoch ~= ARGV[2] then return nil end
  return offset <= tonumber(ARGV[1])
end)
if #gone == 0 then return {0} end
local tokens = remove(KEYS[1], KEYS[2], gone)
table.insert(tokens, 1, #gone)
return tokens
"""
)

# KEYS: list, hash. ARGV: a token, and for how many milliseconds it is claimed. Returns the attempt,
# the item and the body; or only when it is due, or nothing where it is gone or was settled.
CLAIM = Script(
    _INBOX
    + """
local now = expire(KEYS[1], KEYS[2])
local known = redis.call('HGET', KEYS[2], ARGV[1])
if not known then return {} end
local number, due, attempt = string.match(known, '^(%d+):(%d+):(%d+)$')
if tonumber(due) > now then return {tonumber(due)} end
local first = parse(redis.call('LRANGE', KEYS[1], 0, 0)[1])
local item = redis.call('LRANGE', KEYS[1], number - first, number - first)[1]
redis.call('HSET', KEYS[2], ARGV[1], table.concat({number, now + ARGV[2], attempt + 1}, ':'))
return {attempt + 1, item, redis.call('HGET', KEYS[2], number)}
"""
)

# KEYS: list, hash. ARGV: a token, its attempt, and in how many milliseconds it is due again.
# Returns when it is due; 0 where it is gone, or another has claimed it.
POSTPONE = Script(
    _INBOX
    + """
local now = expire(KEYS[1], KEYS[2])
local known = redis.call('HGET', KEYS[2], ARGV[1])
if not known then return 0 end
local number, attempt = string.match(known, '^(%d+):%d+:(%d+)$')
if attempt ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], table.concat({number, now + ARGV[3], attempt}, ':'))
return now + ARGV[3]
"""
)

# KEYS: the sorted set. ARGV: a member, and in how many milliseconds to look at it. It begins with
# the time, so that one whose publication never came can be told from one that is on its way.
EXPECT = Script(
    _NOW
    + """
local due = clock() + ARGV[2]
redis.call('ZADD', KEYS[1], due, due .. ':' .. ARGV[1])
return tostring(due)
"""
)

# KEYS: the sorted set. ARGV: how many, and for how many milliseconds nobody else gets them.
# Returns the time, and the members that are due.
DUE = Script(
    _NOW
    + """
local now = clock()
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(found) do redis.call('ZADD', KEYS[1], now + ARGV[2], member) end
table.insert(found, 1, now)
return found
"""
)
