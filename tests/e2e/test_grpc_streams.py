"""Streams of gRPC through a whole sidelog: watched message by message while they run, and kept
whatever is killed.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.support.http2_client import POST, Fields, Http2Client
from tests.support.http2_upstream import OK, Connection, Http2Upstream, Request
from tests.support.long import long
from tests.support.sidelog import ROOT, Sidelog, await_pids, eventually
from tests.support.upstream import scripted

PATH = "/shop.Cart/Watch"
CALL: Fields = (
    *POST[:3],
    (":path", PATH),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
)
GRPC: Fields = (*OK, ("content-type", "application/grpc"))


def framed(text: str) -> bytes:
    """Write a message whose field 1 is a text."""
    message = b"\x0a" + bytes((len(text),)) + text.encode()
    return b"\0" + len(message).to_bytes(4, "big") + message


def echo_each(connection: Connection, request: Request) -> None:
    """Send back whatever comes, at once."""
    if not request.is_answered:
        connection.respond(request, fields=GRPC, is_end=False)
    body = request.body
    request.body = b""
    if body:
        connection.h2.send_data(request.id, body)
    if request.is_ended:
        connection.h2.send_headers(request.id, [("grpc-status", "0")], end_stream=True)
    connection.flush()


class Stream:
    """A call that goes on until the test ends it."""

    def __init__(self, client: Http2Client) -> None:
        self._client = client
        self._id = client.begin(CALL, is_end=False)
        self.received = client.streams[self._id]

    def say(self, *texts: str) -> None:
        """Send messages at once, and wait for their echo."""
        said = b"".join(map(framed, texts))
        wanted = len(self.received.body) + len(said)
        self._client.h2.send_data(self._id, said)
        self._client.flush()
        while len(self.received.body) < wanted:
            assert self._client.read()

    def end(self) -> None:
        """End it in order."""
        self._client.h2.end_stream(self._id)
        self._client.flush()
        assert self._client.answer(self._id).trailers == {"grpc-status": "0"}

    @property
    def record_id(self) -> str:
        """As the response names it."""
        return self.received.fields["x-sidelog-id"]


@contextmanager
def streaming(sidelog: Sidelog) -> Iterator[Stream]:
    with Http2Client(socket.create_connection(("127.0.0.1", sidelog.port), 240)) as client:
        yield Stream(client)


@contextmanager
def serving(tmp_path: Path, *arguments: str) -> Iterator[Sidelog]:
    with (
        scripted(Http2Upstream(echo_each)) as url,
        Sidelog(tmp_path / "data", url, *arguments) as sidelog,
    ):
        yield sidelog


def messages_of(sidelog: Sidelog, record_id: str, count: int) -> list[tuple[str, str]]:
    """Wait for so many messages of a record; return direction and text of each."""

    def find() -> list[dict[str, Any]] | None:
        try:
            found: list[dict[str, Any]] = sidelog.api(
                f"/api/records/{record_id}/messages?limit=1000"
            )["messages"]
        except HTTPError:  # it is not shown as in flight yet
            return None
        return found if len(found) >= count else None

    return [(each["direction"], each["text"]) for each in eventually(find)]


def both(*texts: str) -> list[tuple[str, str]]:
    return [(direction, f'{{"1":"{text}"}}') for text in texts for direction in ("in", "out")]


@pytest.mark.parametrize("workers", [long("0"), "1"])
def test_a_stream_is_watched_while_it_runs(tmp_path: Path, workers: str) -> None:
    """By the API, in the list, by `sidelog get` and in archives; its record comes with its end."""
    with serving(tmp_path, "--workers", workers) as sidelog, streaming(sidelog) as stream:
        stream.say("one")
        assert messages_of(sidelog, stream.record_id, 2) == both("one")
        shown = sidelog.api(f"/api/records/{stream.record_id}")
        assert (shown["in_flight"], shown["has_messages"], shown["grpc"]["kind"]) == (
            True,
            True,
            None,
        )
        found = sidelog.records("query=kind:event")
        assert {each["name"] for each in found} == {"grpc_message"}
        printed = subprocess.run(
            [sys.executable, "-m", "proxy", "get", stream.record_id, "--data-dir", str(sidelog.data_dir)],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert '-> in   -                    5 B  {"1":"one"}' in printed
        stream.end()
        record = sidelog.record(stream.record_id)
        assert (record["has_messages"], record["grpc"]["is_stream"], record["data"]) == (
            True,
            True,
            None,
        )
        (entry,) = sidelog.api(f"/api/records/{stream.record_id}/har")["log"]["entries"]
        assert entry["_grpcMessages"][0] | {"time": 0} == {
            "type": "send", "time": 0, "opcode": 1, "data": '{"1":"one"}', "_size": 5
        }  # fmt: skip
        assert len(sidelog.records("kind=event")) == sidelog.settled_ledger()["stored"] - 1


def test_what_was_seen_of_a_stream_outlives_its_worker(tmp_path: Path) -> None:
    """Its record says that it was lost, its messages stay, and the ledger balances."""
    with serving(tmp_path) as sidelog:
        with streaming(sidelog) as stream:
            for text in ("one", "two", "three"):
                stream.say(text)
            eventually(lambda: sidelog.is_in_flight(PATH))
            (worker,) = sidelog.pids("proxy.worker")
            os.kill(worker, signal.SIGKILL)
            (lost,) = eventually(lambda: sidelog.records("outcome=worker_lost"))

        assert (lost["id"], lost["has_messages"]) == (stream.record_id, True)
        assert messages_of(sidelog, stream.record_id, 6) == both("one", "two", "three")
        ledger = sidelog.settled_ledger()
        assert (ledger["dropped"], ledger["stored"]) == ({}, 7)


def test_a_stream_goes_on_over_the_death_of_the_collector(tmp_path: Path) -> None:
    """Nothing is lost and nothing twice of what passed before, meanwhile and behind it."""
    with serving(tmp_path) as sidelog:
        with streaming(sidelog) as stream:
            texts = []
            for kill in range(3):
                for number in range(10):
                    texts.append(f"{kill}.{number}")
                    stream.say(texts[-1])
                    if number == 5:
                        (collector,) = await_pids(sidelog, "proxy.collector")
                        os.kill(collector, signal.SIGKILL)

            stream.end()

        eventually(sidelog.is_ready)
        assert messages_of(sidelog, stream.record_id, 60) == both(*texts)
        ledger = sidelog.settled_ledger()
        assert (ledger["dropped"], ledger["stored"], ledger["received"]) == ({}, 61, 61)
