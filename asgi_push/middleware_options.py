"""What ``PushMiddleware`` hands on to the ``Push`` that it makes: keyword arguments with types."""

from collections.abc import Mapping

from .brokers.credentials import BrokerCredentials
from .core import Authenticate, Authorize
from .inbound.hooks import Hook
from .jsonable import Default
from .message_types import Messages
from .messages import ChannelOptions
from .settings import Settings
from .settings_fields import FieldsWithoutPath


class MiddlewareOptions(FieldsWithoutPath, total=False):
    """The parameters of ``Push`` but ``path``; each may be left out.

    ``tests/test_settings_fields.py`` holds that these are its parameters.
    """

    settings: Settings | None
    authenticate: Authenticate | None
    authorize: Authorize | None
    on_connect: Hook | None
    on_disconnect: Hook | None
    on_message: Hook | None
    on_rpc: Hook | None
    on_undelivered: Hook | None
    namespaces: Mapping[str, ChannelOptions] | None
    messages: Messages | None
    default: Default | None
    broker_credentials: BrokerCredentials | None
