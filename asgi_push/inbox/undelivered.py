"""Calls ``on_undelivered`` for what nobody has confirmed in time, once over all processes."""

import anyio

from ..brokers.inbox import Claim, InboxStore
from ..connection import Owner
from ..errors import BrokerError
from ..inbound.hooks import Hook, call_hook, name_of
from ..metrics.counters import Counters
from ..names import user_of
from ..runtime.failures import Failures
from ..runtime.threads import Threads

# How often the broker is asked what is due, in seconds. The request is small. The hook is called up
# to that much late.
_POLL = 1.0

# Hooks that run at once, and how long one may take, in seconds.
_TOGETHER = 10
_HOOK_TIME = 60.0

# How long a claim holds, in seconds. A process renews it while its hook runs. If the process dies,
# the claim ends, and another process calls the hook again.
_LEASE = 30.0
_RENEW_EVERY = 10.0

# How long after each failure the hook is called again, in seconds. After the last it is given up.
_RETRY_AFTER = (10.0, 60.0, 300.0, 1800.0)


class UndeliveredCalls:
    """Claims what is due, and calls the hook. Any process tries again what has failed."""

    def __init__(
        self,
        owner: Owner,
        store: InboxStore,
        hook: Hook,
        threads: Threads,
        counters: Counters,
        failures: Failures,
    ) -> None:
        self._owner = owner
        self._store = store
        self._hook = hook
        self._threads = threads
        self._counters = counters
        self._failures = failures
        self._room = anyio.Event()
        self._ending = False
        self.running = 0

    def stop(self) -> None:
        """Claim nothing more. The calls that run may go on to their end."""
        self._ending = True

    async def run(self) -> None:
        """Call the hook for all that is due, for ever."""
        while not self._ending:
            room = _TOGETHER - self.running
            claims = await self._claim(room) if room else []
            for claim in claims:
                self.running += 1
                self._owner.spawn(self._take, claim)
            if len(claims) < room or not room:
                self._room = anyio.Event()
                with anyio.move_on_after(_POLL):
                    await self._room.wait()
        await anyio.sleep_forever()

    async def _claim(self, limit: int) -> list[Claim]:
        try:
            return await self._store.claim(limit, _LEASE)
        except BrokerError:  # the broker logs it
            return []

    async def _take(self, claim: Claim) -> None:
        try:
            if claim.attempt > len(_RETRY_AFTER) + 1:  # those before ended with their processes
                await self._give_up(claim)
            elif (error := await self._call(claim)) is None:
                self._counters.undelivered["called"] += 1
                await self._store.settle(claim)
            else:
                await self._failed(claim, error)
        except BrokerError:  # its lease ends, and it is tried again
            pass
        finally:
            self.running -= 1
            self._room.set()

    async def _call(self, claim: Claim) -> Exception | None:
        """Call the hook, and renew the claim while it runs; return what it raised."""
        error: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._renew, claim)
            try:
                with anyio.fail_after(_HOOK_TIME):
                    publication = claim.publication
                    await call_hook(
                        self._threads, self._hook, user_of(publication.channel), publication
                    )
            except Exception as raised:  # noqa: BLE001  # code of the application
                error = raised
            tasks.cancel_scope.cancel()
        return error

    async def _renew(self, claim: Claim) -> None:
        while True:
            await anyio.sleep(_RENEW_EVERY)
            try:
                await self._store.postpone(claim, _LEASE)
            except BrokerError:  # the next time may be in time
                continue

    async def _failed(self, claim: Claim, error: Exception) -> None:
        self._counters.undelivered["failed"] += 1
        self._failures.report("hook", error, name_of(self._hook))
        if claim.attempt > len(_RETRY_AFTER):
            await self._give_up(claim)
        else:
            await self._store.postpone(claim, _RETRY_AFTER[claim.attempt - 1])

    async def _give_up(self, claim: Claim) -> None:
        """Never call the hook for it again. The publication stays in the inbox."""
        self._counters.undelivered["given_up"] += 1
        await self._store.settle(claim)
