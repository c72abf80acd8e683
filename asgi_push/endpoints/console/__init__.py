"""The live console: a page of our own, fed by our own push, for whoever has the api_key."""
