"""The Python SDK's own test suite, unmodified, in JSON and in Protobuf, passes on this server as on its own."""

from __future__ import annotations

from tests.sdk.published_suite import Suite


def test_the_suite_passes_whole(suite: Suite) -> None:
    """All tests that the SDK's authors wrote for their server pass on this one."""
    code, log = suite.wait()
    assert code == 0, log[-5000:]
