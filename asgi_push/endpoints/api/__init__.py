"""The HTTP API: what an application does with push, for everything that can POST JSON."""
