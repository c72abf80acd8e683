"""The event loop and its process, without any knowledge of sessions."""
