"""Find the end of a body: by length, by the chunked coding, or with the connection (RFC 9112 §6.3).

Requests and responses share it; the readers of heads decide which framing applies. Any split of the
input gives the same body.
"""

from proxy.http1.chunked import ChunkedDecoder


class BodyFramer:
    """Cuts one body out of the bytes that follow a head."""

    __slots__ = ("_decoder", "_remaining", "has_more", "is_done")

    def __init__(self, length: int, *, is_chunked: bool, is_response: bool = False) -> None:
        """Begin a body of `length` bytes; -1 means chunked, or else up to the end of the
        connection.
        """
        self._decoder = ChunkedDecoder(is_response=is_response) if is_chunked else None
        self._remaining = length
        self.is_done = length == 0 and not is_chunked
        self.has_more = False
        """True if chunks are left from the last call. The next call begins with them."""

    @property
    def in_hand(self) -> int:
        """Return how many bytes were fed and not read yet."""
        if self._decoder is None:
            return 0
        return self._decoder.in_hand

    @property
    def trailers(self) -> bytes:
        """Return the trailer lines of a chunked body, each with its CRLF; complete once it
        `is_done`.
        """
        if self._decoder is None:
            return b""
        return self._decoder.trailers

    @property
    def ends_at_close(self) -> bool:
        return self._decoder is None and self._remaining < 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the body in the next bytes, and, once it `is_done`, the bytes after it.

        Raises:
            ChunkError: malformed or over a limit; the framer cannot be used again.
        """
        decoder = self._decoder
        if decoder is not None:
            pieces, rest = decoder.feed(data)
            self.is_done = decoder.is_done
            self.has_more = decoder.has_more
            return pieces[0] if len(pieces) == 1 else b"".join(pieces), rest

        remaining = self._remaining
        if remaining < 0:
            return data, b""
        if len(data) < remaining:
            self._remaining = remaining - len(data)
            return data, b""

        self._remaining = 0
        self.is_done = True
        return data[:remaining], data[remaining:]
