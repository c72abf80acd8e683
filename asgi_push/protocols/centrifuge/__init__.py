"""The protocol of the Centrifuge client SDKs, version 2: commands in, replies and pushes out, in JSON or Protobuf."""

from .codec import SdkCodec
from .commands import Command, CommandError, ErrorCode, Violation

__all__ = ["Command", "CommandError", "ErrorCode", "SdkCodec", "Violation"]
