"""The URL of a ClickHouse store."""

from urllib.parse import urlsplit

import pytest

from storage.clickhouse.address import Address


def test_an_address_has_hosts_database_and_user() -> None:
    """Everything is read from the URL, credentials and database with their escapes undone."""
    found = Address.of(urlsplit("clickhouse://me:p%40ss%2F@a.example:9000,b-2,[::1]:1/side%20log"))
    assert found == Address(("http://a.example:9000", "http://b-2:8123", "http://[::1]:1"), "side log", "me", "p@ss/")
    assert found.location == "a.example:9000,b-2:8123,[::1]:1/side log"
    assert "p@ss" not in repr(found)


def test_an_address_names_a_cluster() -> None:
    """Its hosts are then replicas; how many must have what is committed is one, unless it is said."""
    found = Address.of(urlsplit("clickhouse://a,b/logs?cluster=main-1"))
    assert (found.cluster, found.min_replicas) == ("main-1", 1)
    assert Address.of(urlsplit("clickhouse://a,b/logs?cluster=main-1&min_replicas=2")).min_replicas == 2


def test_an_address_has_usual_values() -> None:
    """User, password, port and database may be left out; TLS has a port of its own."""
    assert Address.of(urlsplit("clickhouses://host")) == Address(("https://host:8443",), "default", "default", "")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("clickhouse:///database", "'' is no host"),
        ("clickhouse://host:0/", "'host:0' is no host"),
        ("clickhouse://host:65536/", "'host:65536' is no host"),
        ("clickhouse://host:x/", "'host:x' is no host"),
        ("clickhouse://a,,b/", "'' is no host"),
        ("clickhouse://host/a/b", "name of a database"),
        ("clickhouse://host/a?secure=1", "takes no options but cluster"),
        ("clickhouse://host/a?min_replicas=1", "takes no options but cluster"),
        ("clickhouse://host/a?cluster=b&sharding=1", "takes no options but cluster"),
        ("clickhouse://host/a?cluster=b'", "is no name of letters"),
        ("clickhouse://a,b/c?cluster=d&min_replicas=3", "between 1 and the 2 hosts"),
        ("clickhouse://a,b/c?cluster=d&min_replicas=x", "between 1 and the 2 hosts"),
        ("clickhouse://host/a#b", "takes no fragment"),
    ],
)
def test_a_wrong_address_is_told(url: str, problem: str) -> None:
    """What is wrong with an address is said, with an example of a right one."""
    with pytest.raises(ValueError, match=problem):
        Address.of(urlsplit(url))
