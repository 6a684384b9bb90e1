"""Detect the version and the abilities of a server, once, when a store is opened."""

import re
from typing import Final

from storage.clickhouse.engine.legacy import LegacyServer
from storage.clickhouse.engine.server import Server
from storage.clickhouse.wire.link import Link
from storage.errors import StorageUnavailable

_VERSION: Final = re.compile(r"(\d+)\.(\d+)")
_VERSION_AND_INDEX: Final = (
    "SELECT version(), (SELECT count() FROM system.settings WHERE name = "
    "'text_index_like_min_pattern_length')"
)
_SHORT_WORDS: Final = {"text_index_like_min_pattern_length": "1"}
"""Make the index answer for short words as well."""
_OLDEST: Final = (24, 8)
_LEGACY: Final = 18


async def read_server(link: Link) -> Server:
    """Ask a server for its version and abilities.

    Raises:
        StorageUnavailable: It is too old, or did not answer.
    """
    [(version, has_text_index)] = await link.fetch(_VERSION_AND_INDEX)
    if has_text_index:
        link.settings |= _SHORT_WORDS
    return server_of(version, has_text_index=bool(has_text_index))


def server_of(version: str, *, has_text_index: bool = False) -> Server:
    """Return the abilities of a version such as `24.8.14.39`.

    Raises:
        StorageUnavailable: The version is not supported.
    """
    found = _VERSION.match(version)
    if found is None:
        raise StorageUnavailable(f"clickhouse: {version[:100]!r} is not a version")

    numbers = int(found[1]), int(found[2])
    if numbers[0] == _LEGACY:
        return LegacyServer(numbers)
    if numbers < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise StorageUnavailable(
            f"clickhouse: version {version} is too old; sidelog needs {oldest} or later"
        )

    return Server(numbers, has_text_index=has_text_index)
