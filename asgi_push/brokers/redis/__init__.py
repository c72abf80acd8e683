"""The broker of many processes: Redis, or Valkey, alone or as a cluster."""
