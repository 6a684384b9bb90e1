"""`sidelog doctor` on clusters: each server is asked for its shard, and the address is compared
with the cluster.
"""

from pathlib import Path

import pytest

from proxy.cli.commands.doctor.databases import check_clickhouse
from tests.support import clickhouse_cluster
from tests.support.clickhouse_cluster import CLUSTER, SHARDS

pytestmark = [pytest.mark.clickhouse, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("named", "size"), [(SHARDS, "2 shards, 2 servers"), (CLUSTER, "1 shards, 2 servers")]
)
def test_an_address_that_names_all_servers(tmp_path: Path, named: str, size: str) -> None:
    """Each server has its line, and the cluster one of its own."""
    findings = list(check_clickhouse(clickhouse_cluster.url(tmp_path, named)))
    assert [finding.state for finding in findings] == ["ok"] * 3
    assert findings[-1].text == f"cluster {named}: {size}"


@pytest.mark.parametrize(
    ("named", "state", "text"),
    [
        (SHARDS, "fail", "the address names no host of shard 1 of the cluster shards"),
        (CLUSTER, "warn", "the address names 1 of 2 replicas of shard 1 of the cluster both"),
    ],
)
def test_an_address_that_lacks_a_server(tmp_path: Path, named: str, state: str, text: str) -> None:
    """A shard that is not named is never read; a replica that is not named cannot help."""
    head, _, last = clickhouse_cluster.url(tmp_path, named).partition(",")
    findings = list(check_clickhouse(f"{head.partition('//')[0]}//{last}"))
    assert (findings[-1].state, findings[-1].text) == (state, text)
    assert findings[-1].fix


def test_a_cluster_that_no_server_knows(tmp_path: Path) -> None:
    """Each server says so, and what to define."""
    url = clickhouse_cluster.url(tmp_path).replace(f"cluster={CLUSTER}", "cluster=main")
    findings = list(check_clickhouse(url))
    assert [finding.state for finding in findings] == ["fail", "fail"]
    assert all(
        "knows no cluster main" in finding.text and "remote_servers" in finding.fix
        for finding in findings
    )
