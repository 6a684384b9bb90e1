"""Load at a rate, over real sockets: what it counts, and from when."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bench.macro.at_rate import Answer, Load, percentile, summary
from bench.macro.scenarios import POST_BYTES, varying_get, varying_post

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for as long as a busy machine takes: nothing here is to be given up."""
    monkeypatch.setattr("bench.macro.at_rate.PATIENCE_S", 100.0)


@contextmanager
def server(answer: Callable[[int], bytes]) -> Iterator[tuple[str, int]]:
    """Answer the requests of every connection; `answer` gets the number of a request."""
    count = iter(range(1_000_000))
    lock = threading.Lock()

    def serve(connection: socket.socket) -> None:
        with connection:
            buffer = b""
            while data := connection.recv(65536):
                *heads, buffer = (buffer + data).split(b"\r\n\r\n")
                for _ in heads:
                    with lock:
                        number = next(count)
                    text = answer(number)
                    if not text:
                        return
                    connection.sendall(text)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    try:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def loaded(address: tuple[str, int], requests: int, connections: int) -> Load:
    """Run a load of 500 requests a second to its end."""
    load = Load(address, rate=500, requests=requests, connections=connections)
    try:
        load.run()
    finally:
        load.close()
    return load


def test_every_request_is_answered_at_its_rate() -> None:
    """Twenty requests at 500 a second take at least 38 ms, and each has a latency."""
    with server(lambda number: OK) as address:
        load = loaded(address, 20, 4)
    assert (len(load.latencies_us), load.errors) == (20, 0)
    assert load.duration_s >= 0.038


def test_waiting_for_a_connection_counts() -> None:
    """One stall on the only connection is felt by all that were due meanwhile: no coordinated omission."""

    def answer(number: int) -> bytes:
        time.sleep(0.1 if number == 0 else 0)
        return OK

    with server(answer) as address:
        load = loaded(address, 20, 1)
    assert sum(latency >= 50_000 for latency in load.latencies_us) >= 20
    assert load.latencies_us[0] >= 100_000


def test_answers_that_are_none_and_connections_that_end_are_errors() -> None:
    """What was on its way and what was never sent counts, and the load ends."""
    with server(lambda number: b"" if number == 1 else OK) as address:
        ended = loaded(address, 5, 1)
    with server(lambda number: b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n") as address:
        refused = loaded(address, 5, 2)
    assert (len(ended.latencies_us), ended.errors) == (1, 4)
    assert (len(refused.latencies_us), refused.errors) == (0, 5)


def test_an_answer_is_whole_when_its_length_is_there() -> None:
    """In any pieces; too much is an error."""
    answer = Answer()
    assert [answer.feed(OK[i : i + 1]) for i in range(len(OK))] == [False] * (len(OK) - 1) + [True]
    with pytest.raises(ValueError, match="1 bytes came behind the end"):
        Answer().feed(OK + b"x")
    with pytest.raises(ValueError, match="expected a 200"):
        Answer().feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_requests_differ_in_every_varying_field() -> None:
    """Path, query, request id and trace id; the run's number tells two runs apart."""
    lines = [varying_get(number, run).split(b"\r\n") for number, run in ((1, 5), (2, 5), (1, 6))]
    differing = {line.partition(b" ")[0] for first, second in zip(*lines[:2], strict=True) if first != second
                 for line in (first,)}  # fmt: skip
    assert differing == {b"GET", b"X-Request-Id:", b"Traceparent:"}
    assert lines[0] != lines[2]


def test_posts_at_a_rate_are_whole_and_differ() -> None:
    """Head and body each, and the body is as long as it says."""
    first, second = (varying_post(number, 5).partition(b"\r\n\r\n") for number in (1, 2))
    assert first[0].startswith(b"POST /vary/")
    assert first[0] != second[0]
    assert first[2] != second[2]
    assert b"\r\nContent-Length: %d" % POST_BYTES in first[0]
    assert len(first[2]) == len(second[2]) == POST_BYTES
    assert json.loads(first[2])["active"] is True


def test_percentiles_are_of_the_sorted_values() -> None:
    """And a run without answers has zeros."""
    assert percentile(list(range(100)), 0.99) == 99
    assert percentile([7], 0.5) == 7
    assert summary([3, 1, 2], 0.5, 4) == {
        "requests": 3, "duration_us": 500_000, "p50_us": 2, "p99_us": 3, "max_us": 3, "errors": 4,
    }  # fmt: skip
    assert summary([], 0.0, 1)["max_us"] == 0
