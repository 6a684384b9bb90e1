"""The messages of a call of gRPC: counted in all, and recorded one by one in a stream
(`MessageLog`).

A call is a stream once a second message comes in a direction; or, where it has lasted long enough
to be shown as in flight, once a message is here whole whose direction goes on. A unary call is
neither, so it pays for no more than the count. What came before is taken from the windows of the
bodies: in each direction it is one message at most, and the part of them that has just come.
Messages are bodies: where no window keeps those of a direction, none is recorded.
"""

import re
from typing import Final

from proxy.ring.exchange import FLAG_BODIES_OFF
from proxy.ring.handshake import MAX_TARGET_BYTES
from proxy.ring.http2_notes import MessageCounter
from proxy.ring.message import IN, KIND_GRPC, OUT
from proxy.worker.relay.call import Call
from proxy.worker.relay.message_log import MessageLog

MAX_MESSAGES_PER_S: Final = 100
"""Recorded of one stream; further ones pass, unrecorded and counted."""
_TYPE: Final = re.compile(rb"(?i)\r\ncontent-type:[ \t]*([^\r\n]{1,64})")
_ENCODING: Final = re.compile(rb"(?i)\r\ngrpc-encoding:[ \t]*([a-z0-9-]{1,32})")


def count_messages(call: Call, direction: int, data: bytes) -> None:
    """Count the messages in a piece of a body, which is in its window already; record them in a
    stream.
    """
    stream = call.stream
    if stream is None:
        counter = None
    else:
        counter = stream.requests if direction == IN else stream.responses
    if counter is None:
        return
    if call.message_log is not None:
        _take(call, call.message_log, direction, counter, data)
        return

    counter.add(data)
    if counter.messages > 1:
        _begin(call, direction, data)


def record_if_open(call: Call) -> None:
    """Record the messages of a call that is shown as in flight, if it is a stream."""
    stream = call.stream
    exchange = call.exchange
    if stream is None or exchange is None or exchange.slot < 0 or call.message_log is not None:
        return

    requests = stream.requests
    responses = stream.responses
    is_asking = requests is not None and requests.is_between and not call.is_request_complete
    if is_asking or (responses is not None and responses.is_between):
        _begin(call, IN, b"")


def _begin(call: Call, direction: int, data: bytes) -> None:
    """Record what came before, then the data that have just come in a direction, and from now on."""
    exchange = call.exchange
    stream = call.stream
    route = call.route
    engine = call.engine
    if exchange is None or stream is None or route is None or not exchange.is_recorded:
        return
    if not engine.capture.grpc_message_bytes or exchange.flags & FLAG_BODIES_OFF:
        return

    log = MessageLog(exchange, engine.recorder, engine.pace, KIND_GRPC, MAX_MESSAGES_PER_S)
    call.message_log = log
    stream.is_stream = True
    requests = stream.requests
    responses = stream.responses
    if requests is not None and route.request_window_bytes:
        stream.requests = _recorded(call, log, IN, requests, len(data) if direction == IN else 0)
    if responses is not None and route.response_window_bytes:
        stream.responses = _recorded(
            call, log, OUT, responses, len(data) if direction == OUT else 0
        )

    counter = stream.requests if direction == IN else stream.responses
    if counter is not None and counter is not requests and counter is not responses:
        _take(call, log, direction, counter, data)


def _recorded(
    call: Call, log: MessageLog, direction: int, counter: MessageCounter, last_bytes: int
) -> MessageCounter:
    """Return what counts and copies in the place of a counter, and has all but the last bytes."""
    exchange = call.exchange
    assert exchange is not None
    copying = MessageCounter(call.engine.capture.grpc_message_bytes)
    if direction == IN:
        window = exchange.request_body
    else:
        window = exchange.response_body
    kept: list[bytes] = []
    before = 0
    if window is not None:
        before = window.size - last_bytes
        window.collect(kept, before)
    head = b"".join(kept)
    # Most clients send a request's first message at once, and whether it is of a stream is known
    # only later.
    _take(call, log, direction, copying, head, exchange.started_at_ns if direction == IN else 0)
    recorded = copying.is_between

    if not copying.skip(before - len(head)):  # a prefix was cut where nothing is kept of the body
        counter.copy(copying.max_bytes)
        log.take(direction, (), taken=0, cut=counter.messages - recorded)
        return counter

    return copying


def _take(
    call: Call,
    log: MessageLog,
    direction: int,
    counter: MessageCounter,
    data: bytes,
    at_ns: int = 0,
) -> None:
    """Count and record what is whole with a piece of a body."""
    found = counter.found
    if found is None:
        counter.add(data)
        return

    room = log.room()
    counted = counter.messages
    counter.room = room
    counter.add(data)
    taken = room - counter.room
    cut = counter.messages - counted - taken
    if not (found or taken or cut):
        return

    log.sessions[direction] = log.sessions[direction] or _session_of(call, direction)
    log.take(direction, found, at_ns, taken=taken, cut=cut)
    found.clear()
    side = call.client if direction == IN else call.upstream
    if side is not None:
        log.hold(side)


def _session_of(call: Call, direction: int) -> bytes:
    """Return what shows messages to the collector: path, type and coding."""
    exchange = call.exchange
    assert exchange is not None
    line = exchange.request_head[: exchange.request_head.find(b"\r\n")]
    path = line.partition(b" ")[2].partition(b" ")[0].partition(b"?")[0]
    if direction == IN:
        head = exchange.request_head
    else:
        head = exchange.response_head
    kind = _TYPE.search(head)
    encoding = _ENCODING.search(head)
    return b"%b\n%b\n%b" % (
        path[:MAX_TARGET_BYTES], b"" if kind is None else kind[1], b"" if encoding is None else encoding[1],
    )  # fmt: skip
