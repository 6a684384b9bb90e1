"""Sessions with a model over a WebSocket: each response is a call of its own. Pure."""
