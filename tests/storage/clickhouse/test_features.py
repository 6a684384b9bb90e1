"""What a server can do, by its version."""

import pytest

from storage.clickhouse.features import Features, read_features
from storage.clickhouse.link import Link
from storage.errors import StorageUnavailable
from tests.support.clickhouse import Server


def test_versions_are_read() -> None:
    """The old one of Debian and a current one differ in all there is."""
    old, new = Features.of("18.16.1"), Features.of("26.9.2.1")
    assert (old.version, old.has_codecs, old.insert_settings) == ((18, 16), False, {})
    assert (new.version, new.has_codecs) == ((26, 9), True)
    assert new.insert_settings == {"max_partitions_per_insert_block": "0"}
    with pytest.raises(StorageUnavailable, match="'x' is no version"):
        Features.of("x")


async def test_a_server_is_asked(link: Link, engine: Server) -> None:
    """Each engine says which it is."""
    assert (await read_features(link)).has_codecs == (engine.engine == "chdb")
