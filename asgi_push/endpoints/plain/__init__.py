"""Serves the plain protocol, for bare WebSockets: with positions, or without."""
