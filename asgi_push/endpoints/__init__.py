"""What serves a path: each room knows push and the transports, and none knows its neighbours."""
