"""The URL of a ClickHouse store."""

from urllib.parse import urlsplit

import pytest

from storage.clickhouse.wire.address import Address
from tests.support.cases import each_of


def test_an_address_has_hosts_database_and_user() -> None:
    """Everything is read from the URL, credentials and database with their escapes undone."""
    found = Address.of(urlsplit("clickhouse://me:p%40ss%2F@a.example:9000,b-2,[::1]:1/side%20log"))
    assert found == Address(
        ("http://a.example:9000", "http://b-2:8123", "http://[::1]:1"), "side log", "me", "p@ss/"
    )
    assert found.location == "a.example:9000,b-2:8123,[::1]:1/side log"
    assert "p@ss" not in repr(found)


def test_an_address_names_a_cluster() -> None:
    """Its hosts are then servers of it; how many replicas must have what is committed is one,
    unless it is said.
    """
    found = Address.of(urlsplit("clickhouse://a,b/logs?cluster=main-1"))
    assert (found.cluster, found.min_replicas) == ("main-1", 1)
    assert (
        Address.of(urlsplit("clickhouse://a,b/logs?cluster=main-1&min_replicas=2")).min_replicas
        == 2
    )


def test_an_address_says_how_late_an_insert_may_be() -> None:
    """In seconds, with or without a cluster; 5 unless it is said."""
    assert Address.of(urlsplit("clickhouse://a/logs?order_delay_s=0.5")).order_delay_ms == 500
    assert (
        Address.of(urlsplit("clickhouse://a/logs?cluster=b&order_delay_s=60")).order_delay_ms
        == 60_000
    )
    assert Address.of(urlsplit("clickhouse://a/logs")).order_delay_ms == 5000


def test_an_address_has_usual_values() -> None:
    """User, password, port and database may be left out; TLS has a port of its own."""
    assert Address.of(urlsplit("clickhouses://host")) == Address(
        ("https://host:8443",), "default", "default", ""
    )


@each_of(
    ("url", "problem"),
    [
        ("clickhouse:///database", "'' is not a host"),
        ("clickhouse://host:0/", "'host:0' is not a host"),
        ("clickhouse://host:65536/", "'host:65536' is not a host"),
        ("clickhouse://host:x/", "'host:x' is not a host"),
        ("clickhouse://a,,b/", "'' is not a host"),
        ("clickhouse://host/a/b", "name of a database"),
        ("clickhouse://host/a?secure=1", "takes no options but order_delay_s and cluster"),
        ("clickhouse://host/a?min_replicas=1", "takes no options but order_delay_s and cluster"),
        (
            "clickhouse://host/a?cluster=b&sharding=1",
            "takes no options but order_delay_s and cluster",
        ),
        ("clickhouse://host/a?cluster=b'", "is not a name of letters"),
        ("clickhouse://a,b/c?cluster=d&min_replicas=3", "between 1 and the 2 hosts"),
        ("clickhouse://a,b/c?cluster=d&min_replicas=x", "between 1 and the 2 hosts"),
        (
            "clickhouse://host/a?order_delay_s=0.1",
            "order_delay_s='0.1' is not a number of seconds from 0.2 to 60",
        ),
        ("clickhouse://host/a?order_delay_s=61", "from 0.2 to 60"),
        ("clickhouse://host/a?order_delay_s=-1", "from 0.2 to 60"),
        ("clickhouse://host/a?order_delay_s=", "from 0.2 to 60"),
        ("clickhouse://host/a?order_delay_s=nan", "from 0.2 to 60"),
        ("clickhouse://host/a?rest", "takes no options"),
        ("clickhouse://host/a#b", "takes no fragment"),
    ],
)
def test_a_wrong_address_is_told(url: str, problem: str) -> None:
    """What is wrong with an address is said, with an example of a right one."""
    with pytest.raises(ValueError, match=problem):
        Address.of(urlsplit(url))
