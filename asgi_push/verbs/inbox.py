"""The verbs of users' inboxes: what is kept until a session of the user confirms it."""

from functools import partial
from typing import Any

from ..brokers.inbox import InboxOptions, Keep
from ..encoding import Encoder
from ..messages import Publication, PublishResult
from ..names import check_text, check_user_channel
from ..runner.hub_runner import HubRunner
from ..settings import Settings
from .seconds import check_wait, is_seconds
from .transactional import Transactional


class InboxVerbs:
    """Publishes into inboxes, reads and clears them. ``Push`` documents the verbs."""

    def __init__(
        self,
        settings: Settings,
        runner: HubRunner,
        encoder: Encoder,
        transactional: Transactional,
        *,
        has_hook: bool,
    ) -> None:
        self._settings = settings
        self._runner = runner
        self._encoder = encoder
        self._transactional = transactional
        # With a broker that other processes share, one of them may have the hook.
        self._hook_may_be = has_hook or not settings.broker.startswith("memory:")

    async def publish(
        self, user: str, data: Any, key: str | None, after: Any, confirm: Any, using: Any
    ) -> PublishResult:
        """Publish to a user, and keep it; see ``Push.send_to_user``."""
        channel = check_user_channel(user)
        keep = self._keep(after)
        seconds = None if confirm is None else check_wait("confirm", confirm)
        if using is not None:
            if confirm is not None:
                raise ValueError("confirm: nothing is known before the commit, so not with using")
            return await self._transactional.publish(using, channel, data, None, key, keep)
        if key is not None:
            key = check_text("idempotency_key", key)
        publication = Publication(channel, self._encoder.encode(data), awaited_by="inbox")
        return await self._runner.call(self._publish, publication, keep, key, seconds)

    def publish_blocking(
        self, using: Any, user: str, data: Any, key: str | None, after: Any
    ) -> PublishResult:
        """Do the same in a transaction, on this thread."""
        channel = check_user_channel(user)
        keep = self._keep(after)
        return self._transactional.publish_blocking(using, channel, data, None, key, keep)

    async def _publish(
        self, publication: Publication, keep: Keep, key: str | None, confirm: float | None
    ) -> PublishResult:
        hub = self._runner.hub
        publish = partial(hub.inbox.publish, keep)
        if confirm is None:
            return await publish(publication, key)
        return (await hub.confirmations.publish([publication], key, confirm, publish))[0]

    def _keep(self, after: Any) -> Keep:
        """Return how a publication is kept; raise ValueError if it cannot be."""
        known = self._settings
        if not known.inbox_size:
            raise ValueError("inbox: inbox_size (ASGI_PUSH_INBOX_SIZE) is 0, so there is none")
        options = InboxOptions(known.inbox_size, known.inbox_bytes, known.inbox_ttl)
        return Keep(options, self._check_after(after))

    def _check_after(self, after: Any) -> float | None:
        """Return ``undelivered_after`` in seconds; raise ValueError if it cannot be."""
        if after is None:
            return None
        most = self._settings.inbox_ttl
        if not is_seconds(after, most):
            raise ValueError(
                "undelivered_after: must be a number of seconds from 0 to inbox_ttl"
                f" ({most:g}), not {after!r:.80}"
            )
        if not self._hook_may_be:
            raise ValueError(
                "undelivered_after: there is no on_undelivered to be called, and with the broker"
                " memory:// no other process can have one: Push(on_undelivered=...)"
            )
        return float(after)

    async def read(self, user: str) -> list[Publication]:
        """See ``Push.inbox``."""
        return await self._runner.call(self._read, check_user_channel(user)[1:])

    async def _read(self, user: str) -> list[Publication]:
        return await self._runner.hub.inbox.read(user)

    async def clear(self, user: str) -> int:
        """See ``Push.clear_inbox``."""
        return await self._runner.call(self._clear, check_user_channel(user)[1:])

    async def _clear(self, user: str) -> int:
        return await self._runner.hub.inbox.clear(user)
