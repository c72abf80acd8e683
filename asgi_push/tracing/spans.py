"""All that writes spans in one process."""

from opentelemetry import trace

from ..broker_url import is_postgres
from ..settings import Settings
from .publications import PublicationSpans
from .runs import RunSpans
from .sessions import SessionSpans


class Spans:
    """Those of publications, of runs of the fan-out, and of sessions.

    The tracer is that of the global provider, also of one that is set later.
    """

    def __init__(self, settings: Settings) -> None:
        tracer = trace.get_tracer("asgi_push")
        self.publications = PublicationSpans(tracer, _kind_of(settings.broker))
        self.runs = RunSpans(tracer)
        self.sessions = SessionSpans(tracer)


def _kind_of(broker: str) -> str:
    """Return what kind of broker a URL names: memory, local, redis or postgres."""
    if is_postgres(broker):
        return "postgres"
    scheme = broker.partition("://")[0]
    return scheme if scheme in ("memory", "local") else "redis"
