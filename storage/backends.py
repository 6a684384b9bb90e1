"""Which store a URL names. One literal table; a backend and its driver are imported when it is opened, not before.

`memory:` · `sqlite:///relative.db` (in the data directory) · `sqlite:////absolute/path.db`
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from storage.base import Storage
from storage.query import Durability


async def _open_memory(url: SplitResult, data_dir: Path, durability: Durability) -> Storage:
    from storage.memory import MemoryStorage

    return MemoryStorage()


async def _open_sqlite(url: SplitResult, data_dir: Path, durability: Durability) -> Storage:
    from storage.sqlite.store import SqliteStorage

    return await SqliteStorage.open(data_dir / unquote(url.path[1:]), durability=durability)


def _check_memory(url: SplitResult) -> str | None:
    return None if url.geturl() in ("memory:", "memory://") else "memory: takes no address"


def _check_sqlite(url: SplitResult) -> str | None:
    if url.netloc:
        return "sqlite: takes a path and no host, as in sqlite:///records.db"
    if not url.path.startswith("/") or url.path.endswith("/"):
        return "sqlite: needs the path of a file, as in sqlite:///records.db"
    if url.query or url.fragment:
        return "sqlite: takes no options"
    return "the path holds a NUL" if "\0" in unquote(url.path) else None


class _Backend(NamedTuple):
    check: Callable[[SplitResult], str | None]
    open: Callable[[SplitResult, Path, Durability], Awaitable[Storage]]


BACKENDS: Final = {
    "memory": _Backend(_check_memory, _open_memory),
    "sqlite": _Backend(_check_sqlite, _open_sqlite),
}
"""URL scheme → how to check and how to open it."""


def check_url(url: str) -> None:
    """Check a store's URL without opening it.

    Raises:
        ValueError: It names no known store, or not completely.
    """
    problem = _backend(url).check(urlsplit(url))
    if problem is not None:
        raise ValueError(problem)


async def open_storage(url: str, data_dir: Path, *, durability: Durability = "safe") -> Storage:
    """Open the store a URL names. The caller closes it.

    Args:
        url: See the module.
        data_dir: Where relative paths start.
        durability: `safe` syncs every commit to the disk; with `fast` a power cut may cost the newest commits.

    Raises:
        ValueError: See `check_url`.
        StorageUnavailable: It cannot be opened at present.
        SchemaTooNew: A newer sidelog wrote it.
    """
    check_url(url)
    return await _backend(url).open(urlsplit(url), data_dir, durability)


def _backend(url: str) -> _Backend:
    scheme, colon, _ = url.partition(":")
    backend = BACKENDS.get(scheme)
    if backend is None or not colon:
        # Only the scheme: the rest may hold a password.
        raise ValueError(f"unknown store {scheme if colon else '(no scheme)'!r}, known are {', '.join(BACKENDS)}")
    return backend
