"""What carries a session's messages: a WebSocket on any server, and the short way on uvicorn."""
