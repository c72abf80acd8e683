"""Describes what a server sends and takes, as an AsyncAPI 3 document."""

from .describe import describe

__all__ = ["describe"]
