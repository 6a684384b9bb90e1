"""Tables of a cluster are replicated, each below a path of its own."""

from urllib.parse import urlsplit

import pytest

from storage.clickhouse.address import Address
from storage.clickhouse.cluster.engines import made_for

ALONE = Address.of(urlsplit("clickhouse://a/logs"))
CLUSTER = Address.of(urlsplit("clickhouse://a,b/logs?cluster=main"))


@pytest.mark.parametrize(
    ("statement", "made"),
    [
        (
            "CREATE TABLE IF NOT EXISTS texts (id Int64, t Array(UInt8)) ENGINE = ReplacingMergeTree(id) ORDER BY id",
            "CREATE TABLE IF NOT EXISTS texts (id Int64, t Array(UInt8)) ENGINE = ReplicatedReplacingMergeTree("
            "'/clickhouse/sidelog/main/logs/texts', '{replica}', id) ORDER BY id",
        ),
        (
            "CREATE TABLE IF NOT EXISTS commits (\n    -- A number.\n    n UInt8\n)\nENGINE = MergeTree ORDER BY n",
            "CREATE TABLE IF NOT EXISTS commits (\n    -- A number.\n    n UInt8\n, replicas Array(String)) "
            "ENGINE = ReplicatedMergeTree('/clickhouse/sidelog/main/logs/commits', '{replica}') ORDER BY n",
        ),
        ("CREATE VIEW IF NOT EXISTS spans AS SELECT 1", "CREATE VIEW IF NOT EXISTS spans AS SELECT 1"),
    ],
)
def test_tables_of_a_cluster_are_replicated(statement: str, made: str) -> None:
    """All but views; without a cluster a statement stays as it is."""
    assert made_for(CLUSTER, statement) == made
    assert made_for(ALONE, statement) == statement
