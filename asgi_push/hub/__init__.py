"""The sessions of one process: their lives, their channels, and what is published to them."""
