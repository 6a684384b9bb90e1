"""What a store has to do for its files, which one in memory has not."""

from storage.base import Kept
from storage.purge import SumStep, TextIndex, TextStep
from storage.query import Replica


class NoUpkeep:
    """The part of `storage.base.Storage` that is about files, and about indexes."""

    async def reclaim(self) -> None:
        """See `storage.base.Storage.reclaim`."""

    async def vacuum(self) -> None:
        """See `storage.base.Storage.vacuum`."""

    async def is_in_place(self) -> bool:
        """See `storage.base.Storage.is_in_place`."""
        return True

    async def add_sums(self) -> SumStep:
        """See `storage.base.Storage.add_sums`."""
        return SumStep(0, is_done=True)

    async def index_text(self) -> TextStep:
        """See `storage.base.Storage.index_text`."""
        return TextStep(0, is_done=True)

    async def drop_text_index(self) -> TextStep:
        """See `storage.base.Storage.drop_text_index`."""
        return TextStep(0, is_done=True)

    async def text_index(self) -> TextIndex:
        """See `storage.base.Storage.text_index`."""
        return TextIndex(0, 0)

    async def kept(self) -> Kept:
        """See `storage.base.Storage.kept`."""
        return {}

    async def keep(self, kept: Kept) -> None:
        """See `storage.base.Storage.keep`."""
        assert not kept

    async def replicas(self) -> list[Replica]:
        """See `storage.base.Storage.replicas`."""
        return []

    async def erasing(self) -> int:
        """See `storage.base.Storage.erasing`."""
        return 0
