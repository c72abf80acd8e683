"""What a user has not confirmed, for an SDK client that connects.

The SDK takes the offset of a publication for its own position, and these lie before that. So they
come without one, and their position is the tag ``inbox``, which ``push.ack`` takes as the ``id``.
"""

from ...delivery.undeliverable import without_position
from ...messages import Publication
from ...names import user_channel
from ...subscription import TrackedSubscription
from .context import Context

TAG = "inbox"


async def unconfirmed(context: Context) -> list[Publication]:
    """Return what the client gets before all that is published from now on.

    Raises:
        BrokerError: the broker did not answer.
    """
    session = context.session
    inbox = context.hub.inbox
    channel = user_channel(session.user) if session.user else ""
    if not inbox.may_hold(session, channel):
        return []
    subscription = session.subscriptions.get(channel)
    if not isinstance(subscription, TrackedSubscription):
        return []
    return await inbox.unconfirmed(session, channel, subscription)


async def send_unconfirmed(context: Context, publications: list[Publication]) -> None:
    """Send it, after the reply to connect."""
    tagged = list(map(_tagged, publications))
    for publication in context.hub.fanout.undeliverable.carried(context.codec, tagged):
        if (message := context.codec.encode(publication)) is not None:
            await context.hub.wait_capacity(context.session)
            context.send(message)


def _tagged(publication: Publication) -> Publication:
    found = without_position(publication)
    found.tags = {**(publication.tags or {}), TAG: publication.id or ""}
    return found
