"""What a broker's URL may say. Pure: nothing is connected, and no client library is needed."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

POSTGRES_SCHEMES = ("postgres", "postgresql")
SENTINEL_SCHEMES = ("redis+sentinel", "rediss+sentinel")
SCHEMES = (
    "memory",
    "local",
    "redis",
    "rediss",
    "valkey",
    "valkeys",
    "unix",
    *SENTINEL_SCHEMES,
    *POSTGRES_SCHEMES,
)
_TLS = ("rediss", "valkeys", "rediss+sentinel")

# Where a sentinel listens, if its URL does not say.
_SENTINEL_PORT = 26379

# Who this process is to a sentinel. The part before the hosts says who it is to the servers that
# they watch.
_SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})

# It is the name of a directory.
_NAME = r"(?!\.+\Z)[A-Za-z0-9_.-]{0,32}"

# Options that redis-py reads from a URL and callers may give. The rest is set here, where it is
# known what is relied on, and a URL would win.
_TLS_OPTIONS = frozenset(
    {
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_exclude_verify_flags",
        "ssl_include_verify_flags",
        "ssl_keyfile",
        "ssl_min_version",
        "ssl_password",
    }
)
_CERT_REQS = ("none", "optional", "required")


def check_broker_url(url: str) -> None:
    """Raise ValueError that says what is wrong with a URL, if anything is."""
    scheme, found, rest = url.partition("://")
    if not found or scheme not in SCHEMES:
        raise ValueError(f"must be a URL with one of the schemes {', '.join(SCHEMES)}")
    if any(letter <= " " for letter in url):
        raise ValueError("must not hold white space")
    if scheme == "memory":
        if rest:
            raise ValueError("must be memory:// alone: it is this process")
        return
    if scheme == "local":
        if not re.fullmatch(_NAME, rest):
            raise ValueError(
                "must be local:// or local://name, "
                "with a name of 1 to 32 letters, digits, _, . and -"
            )
        return
    if scheme in POSTGRES_SCHEMES:
        return  # libpq reads it, and says what is wrong
    parts = urlsplit(url)
    if scheme == "unix":
        _check_socket(parts)
    elif scheme in SENTINEL_SCHEMES:
        parse_sentinel_url(url)
    else:
        _check_server(parts)
    _check_options(scheme, parts)


def check_postgres_url(url: str) -> None:
    """Raise ValueError that says what is wrong with the URL of a PostgreSQL, if anything is."""
    scheme, found, _ = url.partition("://")
    if not found or scheme not in POSTGRES_SCHEMES:
        raise ValueError(f"must be a URL with one of the schemes {', '.join(POSTGRES_SCHEMES)}")
    check_broker_url(url)


def is_postgres(url: str) -> bool:
    """Whether a broker's URL is that of a PostgreSQL."""
    return url.partition("://")[0] in POSTGRES_SCHEMES


def masked(url: str) -> str:
    """Return a URL without its passwords, also where it cannot be used as it was not escaped."""
    return re.sub("(password=)[^&]*", r"\1********", re.sub("(?s)//.*@", "//********@", url))


def _check_server(parts: SplitResult) -> None:
    try:
        parts.port  # noqa: B018  # it is read when it is asked for
    except ValueError:
        raise ValueError(
            "must have a number as its port, and /, ? and # in a password as %2F, %3F and %23"
        ) from None
    if parts.fragment or "," in (parts.hostname or ""):
        raise ValueError("must name one server, and have no # that is not written as %23")
    if not re.fullmatch(r"/?|/[0-9]+/?", unquote(parts.path), re.ASCII):
        raise ValueError("must end with the number of the database, such as /0")


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """What a URL says of sentinels, and of the servers that they watch."""

    sentinels: list[tuple[str, int]]
    service: str
    server: str  # the URL of a server, of which the host is not known yet
    username: str | None  # for the sentinels
    password: str | None


def parse_sentinel_url(url: str) -> SentinelUrl:
    """Return what ``redis+sentinel://user:password@host:26379,host2/service/0?...`` says.

    Raises:
        ValueError: it cannot be used.
    """
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    if not re.fullmatch(r"/[^/]+(/[0-9]*)?", parts.path, re.ASCII) or parts.fragment:
        raise ValueError(
            "must end with the name of a service, and a database if it is not 0, as in /mymaster/0"
        )
    _, service, *database = parts.path.split("/")
    query = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(query)
    others = "&".join(
        part for part in parts.query.split("&") if part.partition("=")[0] not in _SENTINEL_OPTIONS
    )
    return SentinelUrl(
        [_sentinel(host) for host in hosts.split(",")],
        unquote(service),
        f"{parts.scheme.partition('+')[0]}://{user}@/{''.join(database) or 0}?{others}",
        options.get("sentinel_username") or None,
        options.get("sentinel_password") or None,
    )


def _sentinel(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::([0-9]{1,5}))?", text, re.ASCII)
    port = int(found[2] or _SENTINEL_PORT) if found else 0
    if found is None or not 0 < port < 65_536:
        raise ValueError(
            "must name its sentinels as host:26379, separated by commas, "
            "and /, ?, # and @ as %2F, ..."
        )
    return found[1].strip("[]"), port


def _check_socket(parts: SplitResult) -> None:
    if parts.hostname or parts.fragment or not parts.path.strip("/"):
        raise ValueError(
            "must have the absolute path of a socket, as in unix:///run/redis/redis.sock"
        )


def _check_options(scheme: str, parts: SplitResult) -> None:
    names = set()
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in names:
            raise ValueError(f"must not have the option {name} twice")
        names.add(name)
        if name in _TLS_OPTIONS and scheme not in _TLS:
            raise ValueError(f"must begin with rediss:// to have the option {name}")
        if name in _SENTINEL_OPTIONS and scheme in SENTINEL_SCHEMES:
            continue
        if name not in _TLS_OPTIONS and name != "db":
            raise ValueError(
                f"must not have the option {name!r:.40}: "
                "a URL may have db, and with rediss:// ssl_..."
            )
        if not _usable(name, value):
            raise ValueError(f"must not have {value!r:.40} as {name}")
    if "db" in names and scheme in SENTINEL_SCHEMES:
        raise ValueError("must name its database behind the service, as in /mymaster/0")
    if "db" in names and scheme != "unix" and parts.path.strip("/"):
        raise ValueError("must name its database once: as /0 or as ?db=0")


def _usable(name: str, value: str) -> bool:
    if name in ("db", "ssl_min_version"):
        return value.isascii() and value.isdigit()
    if name == "ssl_check_hostname":  # redis-py takes any other word for yes
        return value.lower() in ("true", "yes", "1", "false", "no", "0")
    return value in _CERT_REQS if name == "ssl_cert_reqs" else bool(value)
