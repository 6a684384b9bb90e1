"""Sidecars that write under one name to one store."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from storage.backends import open_storage
from storage.base import Storage

Open = Callable[[str], Awaitable[Storage]]


def opens_as_one(url: str, directory: Path) -> Open:
    """Return what opens a store as the sidecar `one` of a data directory, which is told by its
    holder.
    """

    async def open_as(holder: str) -> Storage:
        return await open_storage(url, directory, instance="one", holder=holder)

    return open_as
