"""The verbs of ``Push`` that wait for clients: for what they confirm, and for their answers."""

from collections.abc import Mapping
from typing import Any

from ..channels import Namespaces
from ..messages import Payload, Publication, PublishResult
from ..names import check_text, check_user
from ..runner.hub_runner import HubRunner
from .seconds import check_wait


class Confirming:
    """Publishes and asks, and waits. The names of channels have been checked, all else has not."""

    def __init__(self, runner: HubRunner, namespaces: Namespaces) -> None:
        self._runner = runner
        self._namespaces = namespaces

    async def publish(
        self,
        confirm: float,
        channel: str,
        data: Any,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        *,
        using: Any = None,
    ) -> PublishResult:
        """Publish to a channel, and wait until the sessions confirm it; see ``Push.publish``."""
        if using is not None:
            raise ValueError("confirm: not with using, as the position is known at the commit")
        (result,) = await self.publish_to_each(confirm, [channel], data, tags, idempotency_key)
        return result

    async def publish_to_each(
        self,
        confirm: float,
        channels: list[str],
        data: Any,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> list[PublishResult]:
        """Publish the same to several channels; return the results in their order."""
        seconds = check_wait("confirm", confirm)
        for channel in channels:
            if self._namespaces.stream(channel) is None:
                raise ValueError(
                    f"confirm: {channel!r:.80} keeps no history, so nothing in it has a position"
                )
        return await self._runner.call(
            self._publish, seconds, channels, data, tags, idempotency_key
        )

    async def _publish(
        self,
        seconds: float,
        channels: list[str],
        data: Any,
        tags: Mapping[str, str] | None,
        idempotency_key: str | None,
    ) -> list[PublishResult]:
        hub = self._runner.hub
        payload = hub.encode(data)
        publications = [Publication(channel, payload, 0, "", tags) for channel in channels]
        return await hub.confirmations.publish(publications, idempotency_key, seconds, hub.publish)

    async def send_to_session(self, confirm: float, session_id: str, data: Any) -> PublishResult:
        """See ``Push.send_to_session``."""
        seconds = check_wait("confirm", confirm)
        name = check_text("session_id", session_id)
        return await self._runner.call(self._send_to_session, seconds, name, data)

    async def _send_to_session(self, seconds: float, session_id: str, data: Any) -> PublishResult:
        hub = self._runner.hub
        session = hub.registry.get(session_id)
        if session is None or session.disconnect is not None:
            return PublishResult(None, 0)
        if session.client is None or not session.client.answers:
            return PublishResult(None, int(await session.send(data)))
        confirmed = await hub.requester.send_confirmed(session, hub.encode(data), seconds)
        return PublishResult(None, 1, (session_id,) if confirmed else ())

    async def ask(self, data: Any, user: str | None, session: str | None, wait: float) -> Payload:
        """Return the answer, which is JSON; see ``Push.ask``."""
        if (user is None) == (session is None):
            raise ValueError("user, session: one of them must be named, and not both")
        if user is not None:
            user = check_user(user)
        if session is not None:
            session = check_text("session", session)
        seconds = check_wait("timeout", wait)
        return await self._runner.call(self._ask, data, user, session, seconds)

    async def _ask(
        self, data: Any, user: str | None, session: str | None, seconds: float
    ) -> Payload:
        hub = self._runner.hub
        return await hub.requester.ask(hub.encode(data), user, session, seconds)
