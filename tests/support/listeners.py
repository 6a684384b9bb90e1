"""A listener of the writer, made of functions."""

from collections.abc import Callable
from dataclasses import dataclass

from storage.record import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Is notified as whoever feeds the writer is."""

    on_commit: Callable[[Batch], None] = lambda batch: None
    on_spooled: Callable[[Batch], None] = lambda batch: None
    on_dropped: Callable[[str, int], None] = lambda reason, records: None
