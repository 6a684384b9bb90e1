"""Where the body of a message ends: by length, by the chunked coding, or with its connection (RFC
9112 §6.3). Pure.

One framer for requests and responses; what a head means for its body is the head's affair. Any
split of the input gives the same body.
"""

from proxy.http1.chunked import ChunkedDecoder


class BodyFramer:
    """Cuts one body out of the bytes behind a head."""

    __slots__ = ("_decoder", "_remaining", "has_more", "is_done")

    def __init__(self, length: int, *, is_chunked: bool, is_response: bool = False) -> None:
        """Begin a body of `length` bytes; -1 and not chunked is one that the end of the connection
        ends.
        """
        self._decoder = ChunkedDecoder(is_response=is_response) if is_chunked else None
        self._remaining = length
        self.is_done = length == 0 and not is_chunked
        self.has_more = False
        """Whether chunks are left over from the last call; the next one begins with them."""

    @property
    def in_hand(self) -> int:
        """How many bytes were fed and not read."""
        return 0 if self._decoder is None else self._decoder.in_hand

    @property
    def trailers(self) -> bytes:
        """The trailer lines behind a chunked body, each with its CRLF; all of them once it
        `is_done`.
        """
        if self._decoder is None:
            return b""
        return self._decoder.trailers

    @property
    def ends_at_close(self) -> bool:
        return self._decoder is None and self._remaining < 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the body in the next bytes, without chunk framing, and what follows the body once
        it `is_done`.

        Raises:
            ChunkError: the chunked coding is malformed or over a limit; the framer cannot be used again.
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
