"""Where a stream stood at a time in the past, in Lua; see ``scripts``."""

from .scripts import NOW, STREAM, Script

# KEYS: says which node of a cluster is asked. Returns its Unix time in milliseconds, as it gives it
# to publications; 0 if it may not be asked.
TIME = Script(
    NOW
    + """
return now
"""
)

# KEYS: hash, list. ARGV: a new epoch, and a Unix time in milliseconds. Returns epoch, and the
# offset before the publications that are not older: behind the last that is, or that has no time.
PLACE = Script(
    STREAM
    + """
local epoch, top = stream(ARGV[1], false, '', 0)
local at, time = top, tonumber(ARGV[2])
local size = redis.call('LLEN', KEYS[2])
while size > 0 do
  local start = math.max(0, size - 16)
  local part = redis.call('LRANGE', KEYS[2], start, size - 1)
  for i = #part, 1, -1 do
    local published = tonumber(string.match(part[i], '^%d+'))
    if not published or published < time then return {epoch, at} end
    at = at - 1
  end
  size = start
end
return {epoch, at}
"""
)
