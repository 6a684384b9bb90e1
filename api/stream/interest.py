"""What a subscriber of the tail wants: which records, in which form."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from api.stream.tail_ring import Encode
from storage.query import Filter
from storage.record import Payload, Record

EncodeEntry = Callable[[Record, Payload | None], Iterable[tuple[int, str, bytes]]]
"""Projects a record and what is stored of its heads and bodies, as `Encode` does a record."""


@dataclass(frozen=True, slots=True)
class Interest:
    """Equal interests share their buffers."""

    encode: Encode
    filter: Filter
    """With the credential's scope in it."""
    kinds: frozenset[str]
    """Kinds of frames."""
    encode_entry: EncodeEntry | None = None
    """In place of `encode`, for frames that show heads and bodies."""

    @property
    def reads_store(self) -> bool:
        """Whether heads and bodies are looked into: the ring has records without them."""
        return self.encode_entry is not None or self.filter.needs_more_than_records
