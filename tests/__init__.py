"""A regular package, so that no other `tests` on the path is found in its stead."""
