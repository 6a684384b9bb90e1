"""A trace context that sidelog made: the same for the upstream, in flight and on the record."""

import socket
import threading
import urllib.request
from pathlib import Path

from tests.support.script import OK
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import read_head, scripted


def test_a_made_context_is_on_the_record_in_flight_too(tmp_path: Path) -> None:
    """The trace is found by its id while the exchange runs, and after it."""
    may_answer = threading.Event()

    def hold(connection: socket.socket, number: int) -> None:
        read_head(connection)
        may_answer.wait(60)
        connection.sendall(OK)

    environ = {"SIDELOG_PROXY__TRACE_CONTEXT": "true"}
    with scripted(hold) as url, Sidelog(tmp_path / "data", url, environ=environ) as sidelog:
        reader = threading.Thread(
            target=lambda: urllib.request.urlopen(f"{sidelog.url}/slow", timeout=60).read()
        )
        reader.start()
        try:
            (flying,) = eventually(lambda: sidelog.api("/api/records?in_flight=true")["records"])
        finally:
            may_answer.set()

        assert flying["in_flight"]
        assert flying["trace_id"] == flying["id"].replace("-", "")
        reader.join()
        (stored,) = eventually(
            lambda: sidelog.api(f"/api/records?trace_id={flying['trace_id']}")["records"]
        )
        assert (stored["id"], stored["trace_id"], stored["span_id"]) == (
            flying["id"], flying["trace_id"], flying["trace_id"][16:],
        )  # fmt: skip
