"""Clusters whose parts tests kill and start again."""

from collections.abc import Iterator

import pytest

from tests.support.clickhouse_cluster import Cluster, own_cluster


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A cluster of a module's own."""
    with own_cluster() as started:
        yield started
