"""Questions that clients answer."""
