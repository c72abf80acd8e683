"""What prometheus-client is needed for."""

from __future__ import annotations

import pytest

from asgi_push import Push, SettingsError


def test_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without prometheus-client the setting is refused, and says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    with pytest.raises(SettingsError, match='pip install "prometheus-client>='):
        Push(metrics=True)
