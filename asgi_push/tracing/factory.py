"""Makes what writes spans, if the settings want it; nothing above imports OpenTelemetry."""

from typing import TYPE_CHECKING

from ..errors import SettingsError
from ..settings import Settings

if TYPE_CHECKING:
    from .spans import Spans


def make_spans(settings: Settings) -> "Spans | None":
    """Return what writes spans, None without the setting ``tracing``.

    Raises:
        SettingsError: opentelemetry-api is missing.
    """
    if not settings.tracing:
        return None
    try:
        from .spans import Spans  # noqa: PLC0415  # optional: imported on use
    except ImportError:
        advice = 'pip install "opentelemetry-api>=1.37"'
        raise SettingsError(
            f"tracing needs opentelemetry-api, the extra [otel]: {advice}"
        ) from None
    return Spans(settings)
