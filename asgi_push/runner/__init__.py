"""Runs a hub: where it lives, when it drains, and what other processes ask of it."""
