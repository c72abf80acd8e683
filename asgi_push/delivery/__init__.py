"""The hot path: from a publication to the sessions' transports."""
