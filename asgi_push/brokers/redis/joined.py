"""Runs of one script that go to a server together go as one call, with one answer.

Many who connect at once ask the same of many channels. A call for each of them costs more than
what it asks for.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from redis.exceptions import NoScriptError

from .health import reason
from .scripts import LOOK, UPDATE, Script

Command = tuple[bytes | str | int, ...]

# Which of what is sent stands for others, for how many of them, and what joins them.
Joined = tuple[int, int, Script]

# Runs in one call: Redis is not held up for a millisecond.
_MOST = 50

# All runs have as many keys and arguments as the first two arguments say. The third says how many
# of the arguments are the same for all: these come once, before the others. If a run fails, its
# answer is an error among the others. What INFO says is asked for once.
_SOURCE = """
local server, said = redis, {{}}
local redis = {{call = server.call}}
function redis.pcall(...)
  local words = table.concat({{...}}, ' ')
  if words ~= 'INFO server' then return server.pcall(...) end
  said[1] = said[1] or server.pcall(...)
  return said[1]
end
local function one(KEYS, ARGV)
{source}
end
local many_keys, many_args, same = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local answers = {{}}
for run = 0, #KEYS / many_keys - 1 do
  local keys, args = {{}}, {{}}
  for i = 1, many_keys do keys[i] = KEYS[run * many_keys + i] end
  for i = 1, same do args[i] = ARGV[3 + i] end
  local others = 3 + run * (many_args - same)
  for i = same + 1, many_args do args[i] = ARGV[others + i] end
  local good, answer = pcall(one, keys, args)
  if not good then
    local error = type(answer) == 'table' and answer.err or tostring(answer)
    answer = {{err = string.gsub(error, '^@user_script: ?%d+: %-?', '')}}
  end
  answers[run + 1] = answer
end
return answers
"""

# By what Redis calls the script that is run.
_JOINED: dict[bytes | str | int, Script] = {
    script.sha: Script(_SOURCE.format(source=script.source)) for script in (LOOK, UPDATE)
}


class ScriptRuns:
    """Joins the commands that go over one connection, and tells their answers apart."""

    def __init__(self) -> None:
        self._known: set[str] = set()  # what the server has of the scripts
        self._refused = False

    def join(self, commands: Sequence[Command]) -> tuple[Sequence[Command], list[Joined]]:
        """Return what is to be sent for commands, in their order, and which of it is joined."""
        if len(commands) == 1 or self._refused:
            return commands, []
        sent: list[Command] = []
        joined: list[Joined] = []
        start = 0
        while start < len(commands):
            command = commands[start]
            end = start + 1
            if command[0] == "EVALSHA" and command[1] in _JOINED:
                end = _end_of_run(commands, start)
            if end > start + 1:
                script = _JOINED[command[1]]
                joined.append((len(sent), end - start, script))
                command = self._joined(script, commands[start:end])
            sent.append(command)
            start = end
        return sent, joined

    def _joined(self, script: Script, run: Sequence[Command]) -> Command:
        start = 3 + int(run[0][2])  # of the arguments
        rest = start + _same(run, start)
        keys: list[bytes | str | int] = []
        args: list[bytes | str | int] = []
        for command in run:
            keys += command[3:start]
            args += command[rest:]
        known = script.sha in self._known
        verb = ("EVALSHA", script.sha) if known else ("EVAL", script.source)
        shape = (start - 3, len(run[0]) - start, rest - start, *run[0][start:rest])
        return (*verb, len(keys), *keys, *shape, *args)

    def split(self, answers: list[Any], joined: Sequence[Joined]) -> list[Any]:
        """Return the answer to each command.

        What is refused as a whole has done nothing. Its commands are answered as if the server did
        not know their script: whoever is answered that sends each by itself.

        Raises:
            ResponseError: see ``raise_of_replica``.
        """
        for place, many, script in reversed(joined):
            found = answers[place]
            if isinstance(found, Exception):
                self._known.discard(script.sha)
                self._refused |= not isinstance(found, NoScriptError)
                found = [NoScriptError()] * many
            else:
                self._known.add(script.sha)
            for answer in found:
                if isinstance(answer, Exception):
                    raise_of_replica(answer)
            answers[place : place + 1] = found
        return answers


def _end_of_run(commands: Sequence[Command], start: int) -> int:
    """Return where those end that can be joined with the first."""
    first = commands[start]
    script = first[1]
    keys = first[2]
    most = min(start + _MOST, len(commands))
    end = start + 1
    while end < most:
        command = commands[end]
        if len(command) != len(first) or command[1] != script or command[2] != keys:
            break
        end += 1
    return end


def _same(run: Sequence[Command], start: int) -> int:
    """Return how many arguments, from the first, are the same for all."""
    same = 0
    for values in islice(zip(*run, strict=True), start, None):
        if values.count(values[0]) < len(values):
            break
        same += 1
    return same


def raise_of_replica(answer: Exception) -> None:
    """Raise an answer by which the server is the primary no more: another is, at its address."""
    if reason(answer) == "readonly":
        raise answer
