"""The connections that carry sessions, from their admission to their end."""
