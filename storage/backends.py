"""Map store URLs to backends. A backend and its driver are imported when a store is opened, not
before.

`memory:` · `sqlite:///relative.db` (in the data directory) · `sqlite:////absolute/path.db` ·
`postgresql://user:password@host:5432/database` (also
`postgresql:///database?host=/directory/of/the/socket`; takes the options of libpq, such as
`sslmode`, and `statement_cache_size`, which is detected unless given) ·
`clickhouse://user:password@host:8123,other/database` (`clickhouses://` over TLS; with
`?cluster=name` its hosts are replicas)
"""

from collections.abc import Awaitable, Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict, Unpack
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from storage.errors import StorageDamaged

# A process that only checks URLs, like `sidelog serve`, starts a third sooner without these.
if TYPE_CHECKING:
    from storage.base import Storage
    from storage.query import Durability

DAMAGED: Final = ".damaged-"
"""Follows the original name in the name of a damaged file that was moved away."""
_SECRETS: Final = ("password", "sslpassword")
"""Options of libpq that are refused in the query, because `config show` would print them."""
_MAX_DIGITS: Final = 5
_MAX_PORT: Final = 65535


class Options(TypedDict, total=False):
    """Options for opening a store."""

    durability: "Durability"
    """`safe`, the default, syncs every commit to the disk; with `fast` a power cut may cost the
    newest commits.
    """
    is_read_only: bool
    """Open without changing anything; the store must exist and have the newest layout."""
    instance: str
    """Name of this sidecar. On Postgres and ClickHouse no two sidecars may write under one name at
    the same time.
    """
    holder: str
    """Identity that distinguishes this sidecar from others of the same name, kept over restarts. If
    empty, nothing checks that the name is used once.
    """
    max_bytes: int
    """Size cap that the caller enforces, so that the store can keep its journal short; 0 for none.
    """
    on_set_aside: Callable[[str, str], object] | None
    """Called with the new name of a damaged file and the damage, before an empty file takes its
    place. If None, a damaged file is an error.
    """


async def _open_memory(url: SplitResult, data_dir: Path, options: Options) -> "Storage":
    from storage.sqlite.store import SqliteStorage

    return await SqliteStorage.open(None, durability=options.get("durability", "safe"))


async def _open_sqlite(url: SplitResult, data_dir: Path, options: Options) -> "Storage":
    import asyncio

    from storage.sqlite.connection import translated
    from storage.sqlite.salvage import is_ours, set_aside
    from storage.sqlite.store import SqliteStorage

    path = data_dir / unquote(url.path[1:])
    opened = partial(
        SqliteStorage.open,
        path,
        durability=options.get("durability", "safe"),
        is_read_only=options.get("is_read_only", False),
        max_bytes=options.get("max_bytes", 0),
        has_reserve=bool(options.get("instance")),
    )
    on_set_aside = options.get("on_set_aside")
    try:
        return await opened()
    except StorageDamaged as error:
        if on_set_aside is None or not await asyncio.to_thread(is_ours, path):
            raise
        reason = str(error)

    with translated():
        place, kept = await asyncio.to_thread(set_aside, path, DAMAGED)
    on_set_aside(str(place), reason)

    store = await opened()
    await store.keep(kept)
    return store


async def _open_postgres(url: SplitResult, data_dir: Path, options: Options) -> "Storage":
    from storage.postgres.connection import Address
    from storage.postgres.lease import Lease
    from storage.postgres.store import PostgresStorage

    return await PostgresStorage.open(
        Address.of(url),
        durability=options.get("durability", "safe"),
        is_read_only=options.get("is_read_only", False),
        lease=Lease(options["instance"], options["holder"]) if options.get("holder") else None,
    )


async def _open_clickhouse(url: SplitResult, data_dir: Path, options: Options) -> "Storage":
    from storage.clickhouse.store import ClickhouseStorage
    from storage.clickhouse.wire.address import Address

    return await ClickhouseStorage.open(
        Address.of(url),
        is_read_only=options.get("is_read_only", False),
        instance=options.get("instance", ""),
        holder=options.get("holder", ""),
    )


def _check_memory(url: SplitResult) -> str | None:
    if url.geturl() in ("memory:", "memory://"):
        return None
    return "memory: takes no address"


def _check_sqlite(url: SplitResult) -> str | None:
    if url.netloc:
        return "sqlite: takes a path and no host, as in sqlite:///records.db"
    if not url.path.startswith("/") or url.path.endswith("/"):
        return "sqlite: needs the path of a file, as in sqlite:///records.db"
    if url.query or url.fragment:
        return "sqlite: takes no options"
    if "\0" in unquote(url.path):
        return "the path holds a NUL"

    return None


def _check_postgres_place(url: SplitResult) -> str | None:
    if "@" in url.path:
        return f"{url.scheme}: an @ behind the host; / in a password is written %2F"
    if url.fragment:
        return f"{url.scheme}: takes no fragment; # in a password is written %23"
    if len(url.path) < 2 and "@" in url.query:
        return f"{url.scheme}: an @ behind a question mark; ? in a password is written %3F"
    if len(url.path) < 2 or "/" in url.path[1:]:
        return f"{url.scheme}: needs the name of a database, as in postgresql://user@host/sidelog"

    hosts = url.netloc.rpartition("@")[2].split(",")
    ports = [port for host in hosts if (port := host.rpartition("]")[2].partition(":")[2])]
    if not all(
        port.isascii() and port.isdigit() and 0 < int(port[: _MAX_DIGITS + 1]) <= _MAX_PORT
        for port in ports
    ):
        return f"{url.scheme}: a port is a number from 1 to {_MAX_PORT}"

    return None


def _check_postgres(url: SplitResult) -> str | None:
    if problem := _check_postgres_place(url):
        return problem
    options = dict(parse_qsl(url.query))
    if not options.keys().isdisjoint(_SECRETS):
        return f"{url.scheme}: a password is written before the @, or given as PGPASSWORD"

    size = options.get("statement_cache_size", "0")
    if not (size.isascii() and size.isdigit() and len(size) < _MAX_DIGITS):
        return f"{url.scheme}: statement_cache_size is a number below 10000"
    if find_spec("asyncpg"):
        return None

    return f"{url.scheme}: needs the driver: pip install 'sidelog[postgres]'"


def _check_clickhouse(url: SplitResult) -> str | None:
    from storage.clickhouse.wire.address import Address

    try:
        Address.of(url)
    except ValueError as error:
        return str(error)
    return None


class _Backend(NamedTuple):
    check: Callable[[SplitResult], str | None]
    open: Callable[[SplitResult, Path, Options], Awaitable["Storage"]]


BACKENDS: Final = {
    "memory": _Backend(_check_memory, _open_memory),
    "sqlite": _Backend(_check_sqlite, _open_sqlite),
    "postgresql": _Backend(_check_postgres, _open_postgres),
    "postgres": _Backend(_check_postgres, _open_postgres),
    "clickhouse": _Backend(_check_clickhouse, _open_clickhouse),
    "clickhouses": _Backend(_check_clickhouse, _open_clickhouse),
}
"""URL scheme → how to check and how to open it."""


def check_url(url: str) -> None:
    """Check a store's URL without opening it.

    Raises:
        ValueError: The scheme is unknown, or the URL is incomplete or invalid.
    """
    problem = _backend(url).check(urlsplit(url))
    if problem is not None:
        raise ValueError(problem)


def is_postgres(url: str) -> bool:
    """Return True if the URL of a store has a scheme of Postgres."""
    return url.partition(":")[0] in ("postgresql", "postgres")


def is_shared(url: str) -> bool:
    """Whether a URL names a store that several sidecars may write."""
    return url.partition(":")[0] not in ("memory", "sqlite")


async def open_storage(url: str, data_dir: Path, **options: Unpack[Options]) -> "Storage":
    """Open the store that a URL names. The caller closes it.

    Args:
        url: As described in the module.
        data_dir: Where relative paths start.
        **options: See `Options`.

    Raises:
        ValueError: See `check_url`.
        StorageUnavailable: The store cannot be opened at present.
        StorageDamaged: The store is damaged, and `on_set_aside` is not given.
        SchemaTooNew: A newer sidelog wrote the store.
        SchemaTooOld: An older sidelog wrote the store, and `is_read_only` is set.
    """
    check_url(url)
    return await _backend(url).open(urlsplit(url), data_dir, options)


def _backend(url: str) -> _Backend:
    scheme, colon, _ = url.partition(":")
    backend = BACKENDS.get(scheme)
    if backend is None or not colon:
        # Only the scheme: the rest may hold a password.
        raise ValueError(
            f"unknown store {scheme if colon else '(no scheme)'!r}, known are {', '.join(BACKENDS)}"
        )

    return backend
