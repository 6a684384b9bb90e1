"""A body as it was captured, made readable: what reads calls walks through it, and redacting it is a later step."""

from collections.abc import Iterator

import msgspec

from proxy.enrich.formats.frames import Frame, Split, split_events


class DecodedBody(msgspec.Struct, gc=False):
    """The captured windows of one body, codings undone, as UTF-8; not redacted, so never to be stored as they are."""

    head: bytes
    """All of it unless `is_truncated`."""
    tail: bytes
    """The last bytes; empty unless `is_truncated`."""
    size: int
    """True size on the wire."""
    is_truncated: bool
    coding: str | None
    """Codings that were undone."""
    text_size: int
    """Size of the part that could be decoded; offsets of frames count in it."""
    has_end: bool
    """Whether head or tail contain the last bytes that passed; a client that left may have cut them short."""
    marks: tuple[int, ...] = ()
    """Places in the text that were asked for as places on the wire."""
    coding_error: str | None = None
    """Why a coding was not undone, or not to its end."""
    is_coded: bool = False
    """Whether nothing can be read, because a coding was not undone."""
    charset: str | None = None
    """That the text came in, as `formats.charset` names it; None: it is as it came."""

    @classmethod
    def beginning(cls, data: bytes, size: int | None) -> "DecodedBody":
        """Return a body of which its beginning, or all of it, is known, and its size or not even that."""
        is_whole = size == len(data)
        size = len(data) if size is None else size
        return cls(data, b"", size, not is_whole, None, size, is_whole)

    def frames(self, split: Split = split_events) -> Iterator[Frame]:
        """Split a stream or lines, also where the middle is missing; a frame that the tail cuts is left out."""
        yield from split(self.head, is_ended=self.has_end and not self.tail)
        if self.tail:
            start = self.text_size - len(self.tail)
            yield from split(self.tail, start=start, is_inside=True, is_ended=self.has_end)
