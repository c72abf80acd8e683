"""Users and passwords for redis-py: from a function of the application, at each connect."""

from urllib.parse import unquote, urlsplit, urlunsplit

from redis.credentials import CredentialProvider

from ..credentials import BrokerCredentials, ask


class AskedCredentials(CredentialProvider):
    """Asks a function each time; where that names no user it is ``user``."""

    def __init__(self, credentials: BrokerCredentials, user: str) -> None:
        self._credentials = credentials
        self._user = user

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """Return the password, after the user if there is one."""
        user, password = await ask(self._credentials)
        user = user or self._user
        return (user, password) if user else (password,)


def take_user(url: str) -> tuple[str, str]:
    """Return a URL without its user, and the user: redis-py takes none beside a provider.

    Raises:
        ValueError: it has a password, too.
    """
    parts = urlsplit(url)
    who, _, place = parts.netloc.rpartition("@")
    user, _, password = who.partition(":")
    if password:
        raise ValueError("must have no password beside broker_credentials, which gives it")
    return urlunsplit(parts._replace(netloc=place)), unquote(user)
