"""Versions of servers: which are supported, and how the others are refused."""

import pytest

from storage.clickhouse.engine.server import Server
from storage.clickhouse.engine.version import server_of
from storage.errors import StorageUnavailable


@pytest.mark.parametrize(("version", "numbers"), [("24.8.14.39", (24, 8)), ("26.9.1.1", (26, 9))])
def test_a_supported_server_has_tokens(version: str, numbers: tuple[int, int]) -> None:
    """From 24.8 on."""
    server = server_of(version)
    assert (type(server), server.version, server.has_tokens) == (Server, numbers, True)


def test_the_old_one_of_tests_has_none() -> None:
    """Version 18 settles by time."""
    assert not server_of("18.16.1").has_tokens


@pytest.mark.parametrize("version", ["24.7.9.9", "23.8.1", "19.17"])
def test_an_old_server_is_refused(version: str) -> None:
    """The message names its version and the oldest that will do."""
    with pytest.raises(
        StorageUnavailable, match=rf"version {version} is too old; sidelog needs 24\.8 or later"
    ):
        server_of(version)


def test_what_is_no_version_is_refused() -> None:
    """A proxy may answer in the server's place."""
    with pytest.raises(StorageUnavailable, match="'hello' is not a version"):
        server_of("hello")
