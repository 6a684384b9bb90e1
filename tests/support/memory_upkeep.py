"""What a store has to do for its files, which one in memory has not."""

from collections.abc import Sequence

from storage.base import Prepared
from storage.purge import TextIndex, TextStep
from storage.query import Replica
from storage.record import Entry


class NoUpkeep:
    """The part of `storage.base.Storage` that is about files, and about indexes."""

    async def reclaim(self) -> None:
        pass

    async def vacuum(self) -> None:
        pass

    async def is_in_place(self) -> bool:
        return True

    async def prepare(self, entries: Sequence[Entry]) -> Prepared:
        return Prepared()

    async def index_text(self) -> TextStep:
        return TextStep(0, is_done=True)

    async def text_index(self) -> TextIndex:
        return TextIndex(0, 0)

    async def replicas(self) -> list[Replica]:
        return []

    async def erasing(self) -> int:
        return 0
