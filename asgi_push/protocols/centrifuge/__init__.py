"""The protocol of the Centrifuge client SDKs, version 2: commands in, replies and pushes out, in JSON or Protobuf."""

from .commands import Command, ErrorCode, SdkCodec, Violation

__all__ = ["Command", "ErrorCode", "SdkCodec", "Violation"]
