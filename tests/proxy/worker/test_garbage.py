"""What a connection leaves behind: nothing that only the collection of cycles would find.

Such collections walk everything that lives, so a worker makes them rarely. Each connection of a client of HTTP/2 left
33 objects, 3 KB: 31 to 170 MiB in 40 000 connections.
"""

import contextlib
import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from proxy.http2.errors import ErrorCode
from tests.proxy.worker.clients import MASKED_CLOSE, Http2Caller
from tests.proxy.worker.records import entries
from tests.proxy.worker.rows import (
    TRANSPORTS,
    Row,
    Stage,
    Step,
    act,
    ask,
    begin,
    cases,
    end,
    hear,
    leave,
    open_websocket,
    see,
    staged,
)
from tests.proxy.worker.services import (
    NOBODY,
    Script,
    Service,
    answers,
    do,
    gone,
    leaves,
    reads,
    spoken_to,
    stream_of,
    switches,
)
from tests.proxy.worker.upstream.http2_calls import CALL, GRPC, MESSAGE
from tests.support.client import GET
from tests.support.plane import Loop, Plane, eventually, limit_requests

COUNT: Final = 20
PATIENCE_S: Final = 3.0
OURS: Final = (
    "proxy.",
    "traceback",
    "builtins.traceback",
    "uvloop.",
    "asyncio.",
    "_asyncio",
    "ssl",
    "_ssl",
)
BROKEN_FRAME: Final = b"\0\0\1\6\0\0\0\0\0x"
"""A PING of one byte (RFC 9113 §6.7)."""


def says_goodbye(service: Service) -> None:
    """Answer, and end the connection of HTTP/2 in order."""
    do(service, (answers(),))
    stream_of(service).connection.h2.close_connection()


def resets(service: Service) -> None:
    stream = stream_of(service)
    stream.connection.h2.reset_stream(stream.request.id, ErrorCode.INTERNAL_ERROR)
    stream.connection.flush()


def breaks_a_rule(service: Service) -> None:
    stream_of(service).connection.socket.sendall(BROKEN_FRAME)


PATHS: Final[dict[str, Script]] = {
    "/half": (answers(body=b"half", length=100), gone),
    "/never": (gone,),
    "/gone": (leaves(),),
    "/chat": (switches(), reads(8), leaves()),
    "/goodbye": (says_goodbye,),
    "/reset": (resets,),
    "/broken": (breaks_a_rule,),
    CALL[3][1]: (answers(body=MESSAGE, fields=GRPC[1:]),),
}


def by_path(service: Service) -> None:
    """Answer each request as its path says."""
    while service.take():
        do(service, PATHS.get(service.path, (answers(),)))


def heard_out(stage: Stage) -> None:
    """Read a response, or the end of one."""
    stage.caller.hear("GET")


def small_windows(stage: Stage) -> None:
    """Grant windows of a few bytes: the rest waits, and a timer with it (F12)."""
    assert isinstance(stage.caller, Http2Caller)
    for _ in range(3):
        stage.caller.client.h2.increment_flow_control_window(1, stage.caller.sending)
        stage.caller.client.flush()


def breaks_off(stage: Stage) -> None:
    assert isinstance(stage.caller, Http2Caller)
    stage.caller.client.socket.sendall(BROKEN_FRAME)
    stage.caller.client.hear_out()


def insecure(hello: bytes) -> Step:
    """Open another connection, whose handshake fails."""

    def connect(stage: Stage) -> None:
        with stage.plane.connect() as client:
            client.send(hello)
            if hello.endswith((b"x", b"\n")):
                client.socket.recv(1000)

    return connect


def left(
    name: str, client: list[Step], *over: str, upstream: object = (by_path,), **route: str
) -> Row:
    return Row(name, client, upstream, over, settings={"route": route})  # type: ignore[arg-type]


BOTH: Final = ("h1", "h2-h1")
ROWS = [
    left("a request", [ask(), hear()], "h1", "tls", "h2-h1", "h2-tls", "h1-tls", "h2-h2"),
    left("several", [*[ask()] * 5, *[hear()] * 5], *BOTH),
    left("a body", [ask("POST", body=b"body"), hear()], *BOTH, "h2-h2"),
    left("a refused request", [ask(fields=(("Host", "b"),)), heard_out], *BOTH),
    left(
        "an upstream that fails",
        [ask("POST", "/gone", b"body"), hear(502, error="upstream_reset")],
        *BOTH,
        "h2-h2",
    ),
    left("a client that leaves within a response", [ask(path="/half"), see(b"half")], *BOTH),
    left("a client that leaves before a response", [ask(path="/never")], *BOTH),
    left("a client that resets before a response", [ask(path="/never"), leave("reset")], *BOTH),
    left("a WebSocket", [open_websocket, MASKED_CLOSE], *BOTH, "h2-tls"),
    left("silence", [], "h1", "tls", "h2-h1"),
    left("half a head", [b"GET /"], "h1"),
    left("small windows", [ask(path="/half"), small_windows], "h2-h1"),
    left("a rule that is broken", [breaks_off], "h2-h1"),
    left("a call of gRPC", [begin(CALL, is_end=False), MESSAGE, end(), hear()], "h2-h2"),
    left("a call of gRPC that is refused", [begin((*CALL, ("host", "other"))), heard_out], "h2-h2"),
    left("a stream that its upstream resets", [ask(path="/reset"), heard_out], "h2-h2"),
    left("an upstream that says goodbye", [ask(path="/goodbye"), heard_out], "h2-h2"),
    left("an upstream that breaks a rule", [ask("POST", "/broken", b"body"), heard_out], "h2-h2"),
    left("an upstream that nobody trusts", [ask(), heard_out], "h1-tls", upstream_ca_file=""),
    left(
        "an upstream that is not there",
        [ask(), heard_out],
        *BOTH,
        "h2-h2",
        upstream=NOBODY,
    ),
    left(
        "an upstream that is not there by name",
        [ask(), heard_out],
        "h1",
        upstream=NOBODY.replace("127.0.0.1", "localhost"),
    ),
    left(
        "an upstream that speaks something else",
        [ask(), heard_out],
        "h2-h1",
        upstream=(spoken_to, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        upstream_protocol="http2",
    ),
    *(
        left(f"a handshake that fails behind {hello!r}", [insecure(hello)], "tls")
        for hello in (b"", b"\x16\x03\x01\x02\0\1", b"\x16\x03\x01\0\5\xff\0\0\1x", GET)
    ),
]


def remembered(row: Row) -> Counter[str]:
    """Return what may stay: readers remember some heads, and each WebSocket has another key and an answer to it."""
    heads = ("proxy.http1.request_head.RequestHead", "proxy.http1.response_head.ResponseHead")
    return Counter(dict.fromkeys(heads, 2 * COUNT) if open_websocket in row.client else {})


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    # What there is need neither be counted nor looked through: most of a second each time.
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def living() -> Counter[str]:
    """How many there are of each class of ours and of the loop's."""
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in map(type, gc.get_objects()))
    return Counter(name for name in names if name.startswith(OURS))


def left_behind(plane: Plane, visit: Callable[[], None], ask: Callable[[], None]) -> Counter[str]:
    """Let connections come and go; return the classes of which there is more than one for every
    second of them.

    `ask` opens one that gets an answer.
    """
    connections = plane.engine.connections

    def visits(count: int) -> None:
        for _ in range(count):
            visit()
        ask()  # who has an answer was accepted after all that came before
        eventually(lambda: not connections)

    visits(3)
    with without_collections():
        before = living()
        visits(COUNT)
        deadline_s = time.monotonic() + PATIENCE_S
        while (left := many(living() - before)) and time.monotonic() < deadline_s:
            time.sleep(0.05)

    return left


def many(counts: Counter[str]) -> Counter[str]:
    return Counter({name: count for name, count in counts.items() if count >= COUNT // 2})


@cases(ROWS, is_also_over_asyncio=False)
def test_a_connection_that_ends_is_freed_at_once(
    row: Row, transport: str, loop: Loop, tmp_path: Path, certificate: tuple[str, str]
) -> None:
    """Whatever was on it, nothing waits for a collection of cycles; asyncio's own transports do, and
    nobody uses them.
    """
    with staged(row, TRANSPORTS[transport], loop, tmp_path, certificate) as (plane, connect):
        if TRANSPORTS[transport].upstream != "http1":
            limit_requests(plane, 1)

        def visit() -> None:
            with connect() as stage:
                act(stage, row.client)

        def ask_once() -> None:
            with connect() as stage:
                act(stage, [ask(), heard_out])

        assert left_behind(plane, visit, ask_once) - remembered(row) == Counter()
        entries(plane, 0)
