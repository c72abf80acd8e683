"""Serves the SDK protocol: sessions of the Centrifuge client SDKs."""
