"""The server process: one peer on its core, driven over a socket with one JSON object a line."""

import argparse
import asyncio
import json
import signal
import socket
from typing import Any

from . import machine, peers
from .loads import LOADS
from .serving import loop_factory, serving

# Should whoever started it be killed without a word, it ends all the same, in seconds.
_LIFE = 600


async def _run(name: str, control: socket.socket) -> None:
    built = peers.load(name).build()
    reader, writer = await asyncio.open_connection(sock=control)

    def reply(**values: Any) -> None:
        writer.write(json.dumps(values).encode() + b"\n")

    async with serving(built) as (port, pid):
        reply(port=port, pid=pid)
        while line := await reader.readline():
            command = json.loads(line)
            try:
                reply(**await LOADS[command.pop("do")](built, **command))
            except Exception as error:
                reply(error=repr(error))
                raise


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peer")
    parser.add_argument("control", type=int)
    parser.add_argument("core", type=int)
    arguments = parser.parse_args()
    signal.alarm(_LIFE)
    machine.pin(arguments.core)
    machine.raise_file_limit()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_run(arguments.peer, socket.socket(fileno=arguments.control)))


if __name__ == "__main__":
    main()
