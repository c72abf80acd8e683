"""Publishing inside a transaction of the application, with the broker that can do so."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from ..broker_url import is_postgres, masked
from ..brokers.contract import StreamOptions
from ..brokers.inbox import Keep, check_keepable
from ..brokers.postgres.transactions import publish_in, publish_in_blocking
from ..channels import Namespaces
from ..encoding import Encoder
from ..messages import AwaitedBy, Publication, PublishResult
from ..names import check_channel, check_tags, check_text
from ..settings import Settings

if TYPE_CHECKING:
    from ..tracing.spans import Spans


class Transactional:
    """Publishes on a database connection. Nothing of it needs a hub, or an event loop that runs."""

    def __init__(
        self,
        settings: Settings,
        namespaces: Namespaces,
        encoder: Encoder,
        spans: "Spans | None",
    ) -> None:
        self._settings = settings
        self._namespaces = namespaces
        self._encoder = encoder
        self._spans = spans

    async def publish(
        self,
        using: Any,
        channel: str,
        data: Any,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        keep: Keep | None = None,
    ) -> PublishResult:
        """Publish when the transaction of a connection commits; see ``Push.publish``."""
        prepared = self._prepare(channel, data, tags, idempotency_key, keep)
        with self._span(prepared[0]):
            await publish_in(using, *prepared)
        return PublishResult()

    def publish_blocking(
        self,
        using: Any,
        channel: str,
        data: Any,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        keep: Keep | None = None,
    ) -> PublishResult:
        """Do the same on this thread, with a connection that is not async."""
        prepared = self._prepare(channel, data, tags, idempotency_key, keep)
        with self._span(prepared[0]):
            publish_in_blocking(using, *prepared)
        return PublishResult()

    def _span(self, publication: Publication) -> AbstractContextManager[object]:
        """Return what writes the span of a publication, which says nothing of its commit."""
        return nullcontext() if self._spans is None else self._spans.publications.span(publication)

    def _prepare(
        self,
        channel: str,
        data: Any,
        tags: Mapping[str, str] | None,
        idempotency_key: str | None,
        keep: Keep | None,
    ) -> tuple[Publication, StreamOptions | None, str | None, Keep | None]:
        """Return what is published, checked; ValueError where the broker has no transactions."""
        if not is_postgres(self._settings.broker):
            raise ValueError(
                f"using: needs the broker postgres://, not {masked(self._settings.broker)}"
            )
        name = check_channel(channel)
        if tags is not None:
            tags = check_tags(tags)
        if idempotency_key is not None:
            idempotency_key = check_text("idempotency_key", idempotency_key)
        awaited_by: AwaitedBy | None = None if keep is None else "inbox"
        publication = Publication(
            name, self._encoder.encode(data), tags=tags, awaited_by=awaited_by
        )
        stream = self._namespaces.stream(name)
        if keep is not None:
            check_keepable(publication, stream, keep.options)
        return publication, stream, idempotency_key, keep
