"""What is done in Redis in one step, in Lua.

A channel's stream is a hash with its epoch (e) and the offset of its last publication (s), and a list of the last
publications, which expires before the hash does: a client that missed nothing is told so for longer.
"""

import hashlib


class Script:
    """One script, and the name by which Redis knows it once it has run."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


# KEYS: hash, list, and with an idempotency key where its result is kept.
# ARGV: where to publish, body, size, milliseconds to keep the list and the hash, a new epoch, and to keep the result.
PUBLISH = Script("""
if KEYS[3] then
  local known = redis.call('GET', KEYS[3])
  if known then return known end
end
local epoch = redis.call('HGET', KEYS[1], 'e')
if not epoch then
  epoch = ARGV[6]
  redis.call('HSET', KEYS[1], 'e', epoch)
  redis.call('DEL', KEYS[2])
end
local place = redis.call('HINCRBY', KEYS[1], 's', 1) .. ':' .. epoch
if redis.call('RPUSH', KEYS[2], ARGV[2]) > tonumber(ARGV[3]) then
  redis.call('LTRIM', KEYS[2], -tonumber(ARGV[3]), -1)
end
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PUBLISH', ARGV[1], place .. ':' .. ARGV[2])
if KEYS[3] then redis.call('SET', KEYS[3], place, 'PX', ARGV[7]) end
return place
""")

# A publication that is not kept, with an idempotency key. KEYS: its mark. ARGV: where to publish, message, and
# milliseconds to keep the mark.
PUBLISH_ONCE = Script("""
if redis.call('SET', KEYS[1], '', 'NX', 'PX', ARGV[3]) then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
return 1
""")

# A sign of life. KEYS: says which node of a cluster publishes it. ARGV: where to publish, and what.
SIGN = Script("return redis.call('PUBLISH', ARGV[1], ARGV[2])")

# KEYS: hash. ARGV: milliseconds to keep it. Returns epoch and offset.
LOOK = Script("""
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return redis.call('HMGET', KEYS[1], 'e', 's')
""")

# KEYS: hash, list. ARGV: a new epoch, milliseconds to keep the hash, the offset to read after or, reversed, before (-1:
# none), how many (-1: all), and 1 for reversed. Returns epoch, top offset, offset of the first that follows, and those.
READ = Script("""
local kept = redis.call('HMGET', KEYS[1], 'e', 's')
local epoch, top = kept[1], tonumber(kept[2] or 0)
if not epoch then
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'e', epoch)
  redis.call('DEL', KEYS[2])
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
local since, limit = tonumber(ARGV[3]), tonumber(ARGV[4])
if limit == 0 then return {epoch, top, top + 1, {}} end
local size = redis.call('LLEN', KEYS[2])
local first = top - size + 1
local from, to = first, top
if ARGV[5] == '1' then
  if since >= 0 then to = math.min(top, since - 1) end
  if limit > 0 then from = math.max(first, to - limit + 1) end
else
  from = math.max(first, since + 1)
  if limit > 0 then to = math.min(top, from + limit - 1) end
end
if size == 0 or from > to then return {epoch, top, top + 1, {}} end
return {epoch, top, from, redis.call('LRANGE', KEYS[2], from - first, to - first)}
""")
