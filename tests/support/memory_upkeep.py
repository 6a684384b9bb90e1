"""What a store has to do for its files, which one in memory has not."""

from storage.base import Kept


class NoUpkeep:
    """The part of `storage.base.Storage` that is about files."""

    async def reclaim(self) -> None:
        """See `storage.base.Storage.reclaim`."""

    async def vacuum(self) -> None:
        """See `storage.base.Storage.vacuum`."""

    async def is_in_place(self) -> bool:
        """See `storage.base.Storage.is_in_place`."""
        return True

    async def kept(self) -> Kept:
        """See `storage.base.Storage.kept`."""
        return {}

    async def keep(self, kept: Kept) -> None:
        """See `storage.base.Storage.keep`."""
        assert not kept
