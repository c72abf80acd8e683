"""A soak: phases of storm, each followed by a calm in which everybody must get everything, and a rest."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.soak.clients import CHANNELS, Client, World, behind
from tests.soak.flat import growing
from tests.soak.ledger import Ledger
from tests.soak.pages import Envelope, Plain
from tests.soak.publishing import Publisher
from tests.soak.sdk import Sdk, SdkProtobuf
from tests.soak.servers import House, house
from tests.soak.streams import Stream

KINDS: Sequence[type[Client]] = (Plain, Envelope, Sdk, SdkProtobuf, Stream)

_PHASE = 90.0  # seconds of storm
_PATIENCE = 150.0  # seconds; a process finds out after 40 that its Redis has gone without a word
_QUIET = 1.0  # seconds after the last session has ended, for what ends after it


@dataclass
class Soak:
    """One run, and what came of it."""

    broker: str
    seconds: float
    seed: str
    each: int  # clients of each kind
    say: Callable[[str], None] = print
    ledger: Ledger = field(init=False)
    rests: dict[tuple[int, int], list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    closes: dict[str, int] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.say)

    @property
    def minutes(self) -> float:
        """For how long it has run."""
        return (time.monotonic() - self._began) / 60

    async def run(self, folder: Path) -> None:
        """Run all phases; what is wrong is among the faults of the ledger."""
        with house(folder, self.broker, self.ledger, self.seed) as servers:
            world = World(self.ledger, servers.ports, self.seed, closes=self.closes)
            clients = [kind(world, number) for kind in KINDS for number in range(self.each)]
            publishers = [
                Publisher(channel, servers.publish, self.ledger, self.seed, keys=self.broker != "memory")
                for channel in CHANNELS
            ]
            phases = max(2, round(self.seconds / _PHASE))
            for phase in range(phases):
                # The only worker is killed at the beginning: what it keeps is to be watched for long.
                workers = len(servers.workers) > 1 or phase < phases / 5
                await self._phase(servers, world, clients, publishers, self.seconds / phases, workers=workers)
        for (number, _), rests in self.rests.items():
            for what in growing(rests):
                self.ledger.fault(f"worker {number}", what)

    async def _phase(
        self,
        servers: House,
        world: World,
        clients: Sequence[Client],
        publishers: Sequence[Publisher],
        seconds: float,
        *,
        workers: bool,
    ) -> None:
        lives = [asyncio.create_task(client.run()) for client in clients]
        world.calm = False
        storm = [asyncio.create_task(publisher.run()) for publisher in publishers]
        storm.append(asyncio.create_task(servers.storm(workers=workers)))
        await asyncio.wait([*lives, *storm], timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        world.calm = True
        await _cancel(storm)
        await asyncio.gather(*(publisher.once() for publisher in publishers))
        await self._settle(clients)
        await _cancel(lives)
        await servers.hang_up()
        for client in clients:
            if isinstance(client, Plain):
                client.check()
        for worker in servers.workers:
            await self._rest(worker.number, worker.ask)
        self.say(self._line())

    async def _settle(self, clients: Sequence[Client]) -> None:
        """Wait until everybody has got everything."""
        try:
            async with asyncio.timeout(_PATIENCE):
                while any(True for _ in behind(clients)):  # noqa: ASYNC110  # there is no event for it
                    await asyncio.sleep(0.05)
        except TimeoutError:
            for what in behind(clients):
                self.ledger.fault("the end", what)

    async def _rest(self, number: int, ask: Callable[[str], Awaitable[Any]]) -> None:
        """Measure a worker once its sessions have ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while await ask("/sessions"):  # noqa: ASYNC110  # there is no event for it
                    await asyncio.sleep(0.2)
        await asyncio.sleep(_QUIET)
        if left := await ask("/sessions"):
            self.ledger.fault(f"worker {number}", f"{left} sessions of clients that are gone")
        found = await ask("/state")
        self.rests[number, int(found["pid"])].append(found)

    def _line(self) -> str:
        counts = self.ledger.counts
        rows = [f"{self.minutes:6.1f} min: {counts['published']} published, {counts['received']} received,"]
        rows.append(f"{counts['connections']} connections, {counts['faults']} faults;")
        latest = {number: rests[-1] for (number, _), rests in self.rests.items()}
        for number, rest in latest.items():
            holds = f"longest hold {rest['cpu'] * 1000:.0f} ms CPU, {rest['wall'] * 1000:.0f} ms"
            rows.append(
                f"worker {number}: {rest['memory'] / 1e6:.1f} MB, {rest['objects']:,} objects,"
                f" {rest['tasks']} tasks, {rest['files']} files, {holds};"
            )
        return " ".join(rows)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for found in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(found, Exception):
            raise found


def run(soak: Soak, folder: Path) -> None:
    """Run it on an event loop of its own."""
    asyncio.run(soak.run(folder))
