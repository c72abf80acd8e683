"""What the application declares of the messages between it and its clients."""

from .messages import Messages

__all__ = ["Messages"]
