"""Clients that go on where they were."""
