"""The broker over PostgreSQL."""
