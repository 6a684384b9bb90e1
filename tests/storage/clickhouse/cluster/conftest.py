"""Clusters whose parts tests kill and start again."""

from collections.abc import Iterator

import pytest

from storage.clickhouse.cluster import terms
from tests.support.clickhouse_cluster import Cluster, own_cluster


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that is there is waited for, however busy the machine is."""
    monkeypatch.setattr(terms, "SYNC_S", 60.0)


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A cluster of a module's own."""
    with own_cluster() as started:
        yield started
