"""Notifications of the browser, which come also when the page is closed, by pywebpush."""

import base64
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .. import clock
from ..errors import SettingsError
from ..logs import logger, printable
from ..messages import Publication
from .deliveries import MOST, Deliveries, Gone, NotifyError, check_functions, is_number
from .message import MakeMessage, as_json, checked, default_message
from .subscriptions import PUSH_SERVICES, check_subscription

Subscription = Mapping[str, Any]

# A push service takes at least 4,096 bytes, of which encryption needs 103 (RFC 8291, section 4).
MAX_BYTES = 3993

# What the push service says of a subscription that has ended (RFC 8030, sections 5 and 7.3).
_GONE = {404, 410}

# How long a token of VAPID is good for, in seconds. More than a day is refused (RFC 8292, section
# 2), so half a day leaves room for clocks that differ.
_EXPIRES = 12 * 60 * 60


class WebPush:
    """Tells a person by the push subscriptions of their browsers.

    Give it to ``Push(on_undelivered=...)``. The service worker of your page gets ``{"body",
    "title", "url"}`` as JSON, of at most 3,993 bytes: a longer body is shortened. A publication
    counts as told when one push service has taken it; what the others say goes to the log.

    Args:
        subscriptions: ``(user) -> subscriptions``, as ``subscription.toJSON()`` gave them to your
            page; at most 100. With none, nothing is done. It may be sync or async, as may
            ``forget`` and ``message``.
        forget: ``(user, subscription)``, called with one that has ended (404 or 410) or cannot be
            used: remove it from where you keep it.
        vapid_private_key: the key of your application: a PEM file or its text, or Base64.
        vapid_subject: whom push services may write to: ``mailto:you@example.com`` or ``https://``.
        message: ``(user, publication) -> Message``: what they read. By default the data: a text, or
            the "body", "title" and "url" of an object.
        hosts: where messages may be sent to. Anybody can make up a subscription, so your server
            would otherwise call any address that a client names.
        ttl: how many seconds a push service keeps it for a device that is off.
        timeout: how many seconds one push service may take, and each function of yours. Push
            gives the whole hook 60.
        threads: how many push services are called at once, as these calls block.

    Raises:
        SettingsError: the extra [webpush] is not installed, or an argument cannot be used.
    """

    def __init__(
        self,
        subscriptions: Callable[[str], Awaitable[Iterable[Subscription]] | Iterable[Subscription]],
        forget: Callable[[str, Subscription], Any],
        *,
        vapid_private_key: str | Path,
        vapid_subject: str,
        message: MakeMessage | None = None,
        hosts: Iterable[str] = PUSH_SERVICES,
        ttl: int = 24 * 60 * 60,  # a day, in seconds
        timeout: float = 15.0,
        threads: int = 8,
    ) -> None:
        check_functions(
            subscriptions=subscriptions, forget=forget, message=message or default_message
        )
        if isinstance(hosts, str):
            raise SettingsError("hosts: must be several names, not one text")
        if not is_number(ttl, int) or ttl < 0:
            raise SettingsError(f"ttl: must be a whole number of seconds, not {ttl!r:.80}")
        self._subscriptions = subscriptions
        self._forget = forget
        self._message = default_message if message is None else message
        self._hosts = tuple(hosts)
        self._ttl = ttl
        self._timeout = timeout
        self._deliveries = Deliveries(timeout, threads)
        self._vapid = _load_key(vapid_private_key)
        self._subject = vapid_subject
        try:
            self._vapid.sign(self._claims("https://push.example.com"))
        except Exception as error:  # of py_vapid, which checks the subject
            raise SettingsError(
                f"vapid_subject: must be mailto:... or https://..., not {vapid_subject!r:.80}"
            ) from error

    @property
    def public_key(self) -> str:
        """What the page gives to ``pushManager.subscribe`` as ``applicationServerKey``."""
        numbers = self._vapid.public_key.public_numbers()
        point = b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        return base64.urlsafe_b64encode(point).rstrip(b"=").decode()

    def check(self, subscription: Any) -> dict[str, Any]:
        """Return the part of a subscription that you have to keep; call it before you keep one.

        Raises:
            ValueError: it cannot be used, or is for a server that is no push service.
        """
        return check_subscription(subscription, self._hosts)

    async def __call__(self, user: str, publication: Publication) -> None:
        """Tell a user of a publication.

        Raises:
            NotifyError: no push service has taken it.
        """
        found = list(await self._deliveries.ask(self._subscriptions, user) or ())[:MOST]
        if not found:
            return
        message = checked(await self._deliveries.ask(self._message, user, publication))
        payload = as_json(message, MAX_BYTES)
        gone: list[Subscription] = []
        calls = [("web push", partial(self._tell, one, payload, gone)) for one in found]
        try:
            await self._deliveries.send(user, calls)
        finally:
            for subscription in gone:
                await self._forget_one(user, subscription)

    async def _forget_one(self, user: str, subscription: Subscription) -> None:
        try:
            await self._deliveries.ask(self._forget, user, subscription)
        except Exception:  # noqa: BLE001  # the person has been told: a retry would tell them twice
            logger.exception(
                "a push subscription of user %s could not be forgotten", printable(user)
            )

    def _tell(self, subscription: Subscription, payload: bytes, gone: list[Subscription]) -> None:
        try:
            checked_subscription = self.check(subscription)
        except ValueError as error:
            logger.warning("a push subscription is forgotten: %s", printable(str(error)))
            gone.append(subscription)
            raise Gone from None
        status, reason = self._post(checked_subscription, payload)
        if status in _GONE:
            gone.append(subscription)
            raise Gone
        if not 200 <= status < 300:
            raise NotifyError(f"the push service answered {status}{reason}")

    def _post(self, subscription: dict[str, Any], payload: bytes) -> tuple[int, str]:
        """Send it; return the status of the answer, and what is worth knowing beside it."""
        import requests  # noqa: PLC0415  # optional: imported on use
        from pywebpush import WebPusher  # noqa: PLC0415

        with requests.Session() as session:
            session.max_redirects = 0  # a push service has none, and they may lead anywhere
            answer = WebPusher(subscription, requests_session=session).send(
                payload,
                self._vapid.sign(self._claims(subscription["endpoint"])),
                ttl=self._ttl,
                timeout=self._timeout,
            )
            again = answer.headers.get("Retry-After", "")
            return answer.status_code, f", and asks to wait {again:.40}" if again else ""

    def _claims(self, endpoint: str) -> dict[str, Any]:
        scheme, _, rest = endpoint.partition("://")
        return {
            "sub": self._subject,
            "aud": f"{scheme}://{rest.partition('/')[0]}",
            "exp": int(clock.now()) + _EXPIRES,
        }


def _load_key(key: str | Path) -> Any:
    """Return the key of VAPID; the error does not show it."""
    try:
        import pywebpush  # noqa: F401, PLC0415  # optional: imported on use
        from py_vapid import Vapid02  # noqa: PLC0415  # which pywebpush needs
    except ImportError:
        raise SettingsError(
            'notify.WebPush needs pywebpush: pip install "pywebpush>=2.5"'
        ) from None
    try:
        text = Path(key).read_text() if isinstance(key, Path) or os.path.isfile(key) else key
        if "-----BEGIN" in text:
            return Vapid02.from_pem(text.strip().encode())
        return Vapid02.from_string(text.strip())
    except OSError as error:
        raise SettingsError(f"vapid_private_key: {error}") from None
    except Exception:  # noqa: BLE001  # whatever its libraries raise, perhaps with the key
        raise SettingsError(
            "vapid_private_key: is neither a private key of P-256 nor a file with one"
        ) from None
