"""Live sessions with a model over a WebSocket. Each response is a call of its own."""
