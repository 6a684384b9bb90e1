"""Sources of a suite: a given file, or the result of a search, fetched into a temporary file."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from api.replay.archive import ascii_host
from api.replay.suite import Recorded, SuiteError, read_suite
from proxy.cli.commands.client import Client, Filters
from proxy.cli.commands.files.export import write_suite
from proxy.cli.commands.output import CommandError, failing
from proxy.enrich.endpoints.segments import placeholder, split

Reader = Callable[[], AbstractContextManager[Client]]
"""Opens the sidelog to read from, only when needed: a suite in a file needs none."""
_SUFFIXES = (".ndjson", ".har")
"""Suffixes of files: a word that ends like this is not a search."""


@contextmanager
def suite_of(reader: Reader, filters: Filters) -> Iterator[tuple[Path, frozenset[str]]]:
    """Yield the file of a suite, and the hosts to which its requests are limited, if any.

    It is the file that the search names, or a temporary one with the matching exchanges.
    """
    named = Path(str(filters.get("query", "")))
    if filters and _is_file(named):
        if filters.keys() - {"query", "host"}:
            text = f"{named} is a file: it is taken whole, without other filters than --host"
            raise CommandError(text, exit_code=2)
        yield named, frozenset(map(ascii_host, filters.get("host", ())))
        return

    if named.suffix in _SUFFIXES:
        raise CommandError(f"there is no file {named}", exit_code=2)

    # Read and written by its owner only.
    with tempfile.NamedTemporaryFile(prefix="sidelog-", suffix=".ndjson") as file:
        with reader() as client:
            write_suite(client, filters, Path(file.name))
        yield Path(file.name), frozenset()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, or with a NUL: a search
        return False


def recorded_in(path: Path) -> Iterator[Recorded]:
    """Yield the exchanges of a suite.

    Raises:
        CommandError: the file is not a suite, or cannot be read.
    """
    if not path.exists():
        raise CommandError(f"there is no file {path}", exit_code=2)
    with (
        failing(f"cannot read {path}", OSError, exit_code=2),
        failing("", SuiteError, exit_code=2),
    ):
        yield from read_suite(path, template_of)


def template_of(path: str) -> str:
    """Return the endpoint of a path, derived from the form of its segments: an archive has no
    endpoints.
    """
    return "/" + "/".join(placeholder(segment) or segment for segment in split(path))
