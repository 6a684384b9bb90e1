"""kill -9 of any process, or all of them, under load: no completed exchange missing, none twice, a
balanced ledger.
"""

import os
import re
import signal
import socket
from collections import Counter
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from proxy.ring.inflight import HEAD_BYTES
from tests.e2e.test_keys import Service, World
from tests.proxy.worker.upstream.http2_calls import CALL, GRPC, MESSAGE, STATUS
from tests.support.http2_load import Http2Load
from tests.support.http2_upstream import Connection, Http2Upstream, Request
from tests.support.kills import KILL_PAUSE_S, ROOM, VICTIMS, kill_rounds
from tests.support.load import PAUSE_S, Load
from tests.support.long import long
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import read_head, scripted


def check_accounts(sidelog: Sidelog, completed: list[str], *, is_dense: bool = True) -> None:
    """Compare what clients got with what is stored, and the ledger with both; numbers of ClickHouse
    have gaps.
    """
    ledger = sidelog.settled_ledger()
    assert sum(ledger["dropped"].values()) == 0, ledger
    records = sidelog.records("kind=all")
    ids = Counter(record["id"] for record in records)
    assert not [record_id for record_id, count in ids.items() if count > 1]
    missing = set(completed) - ids.keys()
    assert not missing, (len(missing), ledger)
    assert ledger["stored"] == len(records)
    assert ledger["received"] == len(records)
    seqs = sorted(record["seq"] for record in records)
    assert len(set(seqs)) == len(seqs)
    assert not is_dense or seqs == list(range(1, len(seqs) + 1))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("workers", [long("1"), "2"])
def test_kills_under_load_lose_and_double_nothing(
    tmp_path: Path, upstream: str, workers: str
) -> None:
    """Whoever is killed, every exchange a client got completely is stored exactly once."""
    with Sidelog(tmp_path / "data", upstream, "--workers", workers, environ=ROOM) as sidelog:
        report = kill_rounds(sidelog, rounds=len(VICTIMS), seed=int(workers), pause_s=KILL_PAUSE_S)
        assert len(report.completed) > 100
        check_accounts(sidelog, report.completed)


def answer_calls(connection: Connection, request: Request) -> None:
    if request.is_ended:
        connection.respond(request, request.body, GRPC, STATUS)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("streams", "rounds"), [(20, len(VICTIMS)), (50, 60)])
def test_kills_amid_streams_lose_and_double_nothing(
    tmp_path: Path, upstream: str, streams: int, rounds: int
) -> None:
    """The same while four clients have many requests on each connection of HTTP/2, half of them
    calls of gRPC.
    """
    config = tmp_path / "sidelog.toml"
    with ExitStack() as open_:
        service = open_.enter_context(scripted(Http2Upstream(answer_calls)))
        config.write_text(
            f'[[routes]]\nid = "calls"\npath = "/s.Service/"\nupstream = "{service}"\n'
        )
        sidelog = open_.enter_context(
            Sidelog(tmp_path / "data", upstream, "--config", str(config), environ=ROOM)
        )
        load = Http2Load(sidelog.port, streams=streams, calls=CALL, body=MESSAGE)
        with load:
            report = kill_rounds(sidelog, rounds=rounds, seed=7, pause_s=KILL_PAUSE_S)
        assert len(load.completed) > 100
        check_accounts(sidelog, report.completed + load.completed)
        records = [
            record for record in sidelog.records("kind=all") if record["http_version"] == "2"
        ]
        assert len(records) >= len(load.completed)
        assert sum(record["route_id"] == "calls" for record in records) > len(load.completed) // 3

    print(report.describe(), f"{len(load.completed)} streams")  # noqa: T201 - the figures are what it is run for


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_hundreds_of_kills_lose_and_double_nothing(tmp_path: Path, upstream: str) -> None:
    """The same over 200 kills, with growing pauses between restarts."""
    with Sidelog(tmp_path / "data", upstream, "--workers", "2", environ=ROOM) as sidelog:
        report = kill_rounds(sidelog, rounds=200, seed=7)
        check_accounts(sidelog, report.completed)
    print(report.describe(), f"stopped in {sidelog.stop_s:.1f} s")  # noqa: T201 - the figures are what it is run for


def test_a_long_request_of_a_killed_worker_leaves_a_record(tmp_path: Path) -> None:
    """An exchange older than 100 ms is visible in flight, and becomes `worker_lost` when its worker
    is killed.
    """

    def never_answer(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.recv(1)

    with (
        scripted(never_answer) as url,
        Sidelog(tmp_path / "data", url) as sidelog,
        closing(HTTPConnection("127.0.0.1", sidelog.port)) as client,
    ):
        client.request("GET", "/slow")
        shown = eventually(lambda: sidelog.api("/api/records?in_flight=true")["records"])
        assert (shown[0]["path"], shown[0]["in_flight"]) == ("/slow", True)
        (worker,) = sidelog.pids("proxy.worker")
        os.kill(worker, signal.SIGKILL)
        (lost,) = eventually(lambda: sidelog.records("outcome=worker_lost"))
        assert lost["id"] == shown[0]["id"]
        assert (lost["status"], lost["level"], lost["path"]) == (None, "error", "/slow")
        sidelog.kill_all()
        sidelog.start()
        assert sidelog.settled_ledger()["received"] >= 1


OWNED = """
[proxy]
trusted_proxies = ["127.0.0.1"]
[[routes]]
id = "keyed"
path = "/keyed/"
upstream = "{upstream}"
auth = "optional"
project = "of-route"
[[routes]]
id = "named"
path = "/named/"
upstream = "{upstream}"
project_header = "x-project"
project = "of-route"
"""


def test_what_a_killed_worker_left_belongs_to_whom_it_did(tmp_path: Path) -> None:
    """To the project of its key or of a trusted proxy, named behind all that is kept of a head, not
    to the route's.
    """

    def answer(connection: socket.socket, number: int) -> None:
        while head := read_head(connection):
            if b"/slow" in head:
                connection.recv(1)
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with scripted(answer) as url:
        config = tmp_path / "sidelog.toml"
        config.write_text(OWNED.format(upstream=url))
        with (
            Sidelog(tmp_path / "data", url, "--config", str(config), "--workers", "2") as sidelog,
            ExitStack() as open_,
        ):
            world = World(sidelog, Service())
            secret = world.create(project="of-key")["secret"]
            world.becomes("/keyed/ready", secret, (200, None))
            filler = {"X-Filler": "x" * 2 * HEAD_BYTES}

            for path, fields in (
                ("/keyed/slow", {"api-key": secret}),
                ("/named/slow", {"X-Project": "of-header"}),
                ("/named/slow-too", {}),
            ):
                client = open_.enter_context(closing(HTTPConnection("127.0.0.1", sidelog.port)))
                client.request("GET", path, headers=filler | fields)

            whose = {
                "/keyed/slow": "of-key",
                "/named/slow": "of-header",
                "/named/slow-too": "of-route",
            }

            def in_flight() -> dict[str, str]:
                rows = sidelog.api("/api/records?in_flight=true&path=slow")["records"]
                return {row["path"]: row["project"] for row in rows if row["in_flight"]}

            eventually(lambda: in_flight() == whose)
            for pid in sidelog.pids("proxy.worker"):
                os.kill(pid, signal.SIGKILL)
            eventually(lambda: len(sidelog.records("outcome=worker_lost")) == 3)
            lost = sidelog.records("outcome=worker_lost")
            assert {row["path"]: row["project"] for row in lost} == whose
            assert [row["path"] for row in sidelog.records("project=of-route&path=slow")] == [
                "/named/slow-too"
            ]


def test_sigterm_under_load_ends_cleanly(tmp_path: Path, upstream: str) -> None:
    """SIGTERM lets running exchanges finish, stores everything, and leaves no ring behind; the log
    has both ends.
    """
    sidelog = Sidelog(tmp_path / "data", upstream, "--workers", "2")
    with Load(sidelog.port, pause_s=PAUSE_S) as load, sidelog:
        eventually(lambda: len(load.completed) > 50)
    assert re.findall(r'"message": "(stop\w+)', sidelog.log) == ["stopping", "stopped"]
    with sidelog:
        check_accounts(sidelog, load.completed)
        eventually(lambda: len(sidelog.api("/api/status")["rings"]) == 2)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_kills_under_load_count_what_is_left_out(tmp_path: Path, upstream: str) -> None:
    """Of the exchanges of which a rule keeps half, each is stored or counted, once."""
    rules = {"SIDELOG_CAPTURE__RULES": '[{"query": "method:GET,POST", "share": 0.5}]'}
    with Sidelog(tmp_path / "data", upstream, environ=ROOM | rules) as sidelog:
        report = kill_rounds(sidelog, rounds=len(VICTIMS), seed=3, pause_s=KILL_PAUSE_S)
        ledger = sidelog.settled_ledger()
        stored = {record["id"] for record in sidelog.records("kind=all")}
        assert ledger["received"] == ledger["stored"] + ledger["sampled"]
        assert ledger["stored"] == len(stored)
        assert len(set(report.completed) - stored) <= ledger["sampled"]
        assert 0.3 < ledger["sampled"] / ledger["received"] < 0.7
