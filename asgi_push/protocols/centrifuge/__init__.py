"""The protocol of the Centrifuge client SDKs, version 2: commands in, replies and pushes out."""

from .codec import SdkCodec
from .commands import Command
from .errors import CommandError, ErrorCode, Violation

__all__ = ["Command", "CommandError", "ErrorCode", "SdkCodec", "Violation"]
