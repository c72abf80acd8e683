"""Serves server-sent events: sessions over HTTP whose clients only receive, and recover."""
