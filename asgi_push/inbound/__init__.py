"""The way in: from what a client sends, a heartbeat or a message, to the application's hooks."""
