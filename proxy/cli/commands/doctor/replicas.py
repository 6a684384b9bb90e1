"""`sidelog doctor` on a ClickHouse of several replicas: do its hosts agree, and has each of them everything."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from proxy.cli.commands.doctor.finding import Finding

if TYPE_CHECKING:
    from storage.clickhouse.address import Address
    from storage.clickhouse.cluster.inspect import ClusterInspection, Host
    from storage.query import Replica


def check_replicas(name: str, address: "Address") -> Iterator[Finding]:
    """Ask every host of an address with `cluster=` for the others; another check reports hosts that do not answer."""
    from storage.clickhouse.cluster.inspect import inspect_cluster

    seen = asyncio.run(inspect_cluster(address))
    for host in seen.hosts:
        yield from _judge_host(name, address, host)
    yield from _judge_names(name, seen)
    for replica in seen.replicas:
        yield from _judge_replica(name, replica)
    versions = sorted({replica.version for replica in seen.replicas if replica.version})
    if len(versions) > 1:
        fix = "run one version of ClickHouse on all replicas: they fetch each other's parts"
        yield Finding("warn", name, f"the replicas are of several versions: {', '.join(versions)}", fix)
    whole = sum(replica.state == "whole" for replica in seen.replicas)
    if seen.replicas and whole == len(seen.replicas):
        yield Finding("ok", name, f"all {whole} replicas have everything")


def _judge_host(name: str, address: "Address", host: "Host") -> Iterator[Finding]:
    if host.shards != 1:
        text = f"{host.host}: the cluster {address.cluster} has {host.shards} shards, and sidelog writes to one"
        if not host.shards:
            text = f"{host.host} knows no cluster {address.cluster}"
        fix = "name a cluster of the replicas of one shard in remote_servers of every server"
        yield Finding("fail", name, text, fix)
    if host.refusal:
        fix = "check that ZooKeeper or Keeper is running, and the section zookeeper of the server's configuration"
        yield Finding("fail", name, f"{host.host} has no coordinator: {host.refusal}", fix)
    if not host.replica:
        fix = "<macros><replica>NAME</replica></macros> in its configuration, another name on each server"
        yield Finding("fail", name, f"{host.host} has no macro replica", fix)


def _judge_names(name: str, seen: "ClusterInspection") -> Iterator[Finding]:
    for replica, hosts in Counter(host.replica for host in seen.hosts if host.replica).items():
        if hosts > 1:
            fix = "give each server a macro replica of its own"
            yield Finding("fail", name, f"{hosts} hosts call themselves the replica {replica}", fix)
    for host, tables in seen.missing.items():
        fix = "a running sidecar makes them while it stores; else start one"
        yield Finding("warn", name, f"{host} lacks tables that others have: {', '.join(tables)}", fix)


def _judge_replica(name: str, replica: "Replica") -> Iterator[Finding]:
    place = f"the replica {replica.name} at {replica.host}"
    if replica.is_read_only:
        fix = "check the way from that server to ZooKeeper or Keeper"
        yield Finding("fail", name, f"{place} takes no rows", fix)
    if replica.state == "left_out":
        text = f"{place} has not everything: {replica.waiting} steps behind, for {replica.delay_s:g} s"
        fix = "it is taken in when it has caught up; if it does not, look at system.replication_queue there"
        yield Finding("warn", name, text, fix)
