"""The backends the conformance suite runs over: how to open each, again and again at the same place."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from storage.backends import open_storage
from storage.base import Storage
from tests.support import postgres
from tests.support.memory_store import MemoryStorage


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend under test."""

    name: str
    open: Callable[[Path], Awaitable[Storage]]
    """Opens the store that belongs to a directory."""
    is_durable: bool
    """Whether it is still there when it is opened again."""


async def _model(directory: Path) -> Storage:
    return MemoryStorage()


async def _memory(directory: Path) -> Storage:
    return await open_storage("memory:", directory)


async def _sqlite(directory: Path) -> Storage:
    return await open_storage("sqlite:///records.db", directory, durability="fast")


async def _postgres(directory: Path) -> Storage:
    return await open_storage(await postgres.database(directory), directory, durability="fast")


BACKENDS = (
    Backend("model", _model, is_durable=False),
    Backend("memory", _memory, is_durable=False),
    Backend("sqlite", _sqlite, is_durable=True),
    Backend("postgres", _postgres, is_durable=True),
)

JUDGED = tuple(backend for backend in BACKENDS if backend.name != "model")
"""Those with figures and searches of their own; the model would be judged by itself."""
