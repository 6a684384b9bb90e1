"""HTTP/1.1 and WebSocket framing without I/O: bytes in, values out (RFC 9110, 9112, 6455)."""
