"""The event loop, the thread and the process that a hub lives on."""
