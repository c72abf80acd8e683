"""Mail, DingTalk, WeCom, Feishu, Telegram and a hundred more, by Apprise."""

import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from ..errors import SettingsError
from ..messages import Publication
from .deliveries import MOST, Deliveries, NotifyError, check_functions
from .message import MakeMessage, Message, checked, default_message

Urls = str | Iterable[str] | None


class Apprise:
    """Tells a person by the services that their Apprise URLs name.

    Give it to ``Push(on_undelivered=...)``. A publication counts as told when one of the services
    has taken it; what the others say goes to the log.

    Args:
        urls: ``(user) -> URL, several, or None``: the ways to this person, at most 100. With none,
            nothing is done. It may be sync or async, as may ``message``.
        message: ``(user, publication) -> Message``: what they read. By default the data: a text, or
            the "body", "title" and "url" of an object.
        timeout: how many seconds one service may take, and each function of yours. Push gives
            the whole hook 60.
        threads: how many services are called at once, as these calls block.

    Raises:
        SettingsError: the extra [notify] is not installed, or an argument cannot be used.
    """

    def __init__(
        self,
        urls: Callable[[str], Awaitable[Urls] | Urls],
        *,
        message: MakeMessage | None = None,
        timeout: float = 15.0,
        threads: int = 8,
    ) -> None:
        try:
            import apprise  # noqa: PLC0415  # optional: imported on use
        except ImportError:
            raise SettingsError(
                'notify.Apprise needs apprise: pip install "apprise>=2.3"'
            ) from None
        check_functions(urls=urls, message=message or default_message)
        self._urls = urls
        self._message = default_message if message is None else message
        self._deliveries = Deliveries(timeout, threads)
        self._library: Any = apprise
        # Our threads bound the time: with a bound of its own Apprise would call from other threads.
        self._asset = apprise.AppriseAsset(service_timeout=0)

    async def __call__(self, user: str, publication: Publication) -> None:
        """Tell a user of a publication.

        Raises:
            NotifyError: no service has taken it.
        """
        found = await self._deliveries.ask(self._urls, user)
        if not found:
            return
        urls = [found] if isinstance(found, str) else list(found)[:MOST]
        message = checked(await self._deliveries.ask(self._message, user, publication))
        calls = [(_scheme(url) or "a URL", partial(self._tell, url, message)) for url in urls]
        await self._deliveries.send(user, calls)

    def _tell(self, url: str, message: Message) -> None:
        sender = self._library.Apprise(asset=self._asset)
        # A list, as it would split a text at commas. What is no URL would be shown in its log.
        if not _scheme(url) or not sender.add([url]):
            raise NotifyError("this is no URL that Apprise can use")
        body = f"{message.body}\n\n{message.url}" if message.url else message.body
        # As text: in a service that shows HTML, a message must not become markup.
        if not sender.notify(
            body, title=message.title, body_format=self._library.NotifyFormat.TEXT
        ):
            raise NotifyError(f"{sender[0].service_name} did not take it; see the log of apprise")


def _scheme(url: Any) -> str:
    """Return the only part of a URL that holds no secret, "" of what is no URL."""
    found = re.match(r"([a-z0-9]{1,20})://", str(url), re.IGNORECASE)
    return found[1] if found else ""
