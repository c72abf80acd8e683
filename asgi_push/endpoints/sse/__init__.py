"""Server-sent events: sessions whose clients only listen, over HTTP, and go on where they were."""
