"""The messages of a gRPC call: counted in every call, recorded one by one in a stream
(`MessageLog`).

A call counts as a stream once it has a second message in one direction, or one complete message in
a direction that is still open when the call is shown as in flight. A unary call never gets there,
so it costs only the counting.

Messages that came before that are taken from the windows of the bodies: up to one in each
direction, and the newest piece. Messages are bodies: if the bodies of a direction are not kept, its
messages are not recorded.
"""

import re
from typing import Final

from proxy.ring.exchange import FLAG_BODIES_OFF
from proxy.ring.handshake import MAX_TARGET_BYTES
from proxy.ring.http2_notes import MessageCounter
from proxy.ring.message import IN, KIND_GRPC, OUT
from proxy.worker.relay.message_log import MessageLog
from proxy.worker.relay.state import RelayState

MAX_MESSAGES_PER_S: Final = 100
"""Messages of one stream recorded per second; further ones pass, unrecorded and counted."""
_TYPE: Final = re.compile(rb"(?i)\r\ncontent-type:[ \t]*([^\r\n]{1,64})")
_ENCODING: Final = re.compile(rb"(?i)\r\ngrpc-encoding:[ \t]*([a-z0-9-]{1,32})")


def count_messages(relay: RelayState, direction: int, data: bytes) -> None:
    """Count the messages in a piece of a body, and record them if the call is a stream.

    The piece is already in the window of its body.
    """
    stream = relay.stream
    if stream is None:
        counter = None
    else:
        counter = stream.requests if direction == IN else stream.responses
    if counter is None:
        return
    if relay.message_log is not None:
        _record(relay, relay.message_log, direction, counter, data)
        return

    counter.add(data)
    if counter.messages > 1:
        _begin_recording(relay, direction, data)


def record_if_stream(relay: RelayState) -> None:
    """Record the messages of a call that is shown as in flight, if it is a stream."""
    stream = relay.stream
    exchange = relay.exchange
    if stream is None or exchange is None or exchange.slot < 0 or relay.message_log is not None:
        return

    requests = stream.requests
    responses = stream.responses
    is_asking = requests is not None and requests.is_between and not relay.is_request_complete
    if is_asking or (responses is not None and responses.is_between):
        _begin_recording(relay, IN, b"")


def _begin_recording(relay: RelayState, direction: int, data: bytes) -> None:
    """Record messages from now on: first the earlier ones, then `data`, the newest piece."""
    exchange = relay.exchange
    stream = relay.stream
    route = relay.route
    engine = relay.engine
    if exchange is None or stream is None or route is None or not exchange.is_recorded:
        return
    if not engine.capture.message_bytes or exchange.flags & FLAG_BODIES_OFF:
        return

    log = MessageLog(exchange, engine.recorder, engine.pace, KIND_GRPC, MAX_MESSAGES_PER_S)
    relay.message_log = log
    stream.is_stream = True
    requests = stream.requests
    responses = stream.responses
    if requests is not None and route.request_window_bytes:
        stream.requests = _copying_counter(
            relay, log, IN, requests, len(data) if direction == IN else 0
        )
    if responses is not None and route.response_window_bytes:
        stream.responses = _copying_counter(
            relay, log, OUT, responses, len(data) if direction == OUT else 0
        )

    counter = stream.requests if direction == IN else stream.responses
    if counter is not None and counter is not requests and counter is not responses:
        _record(relay, log, direction, counter, data)


def _copying_counter(
    relay: RelayState, log: MessageLog, direction: int, counter: MessageCounter, last_bytes: int
) -> MessageCounter:
    """Record the messages before the last bytes; return the counter that also copies the next ones.

    It replaces `counter`, which has counted all of them without a copy.
    """
    exchange = relay.exchange
    assert exchange is not None
    copying = MessageCounter(relay.engine.capture.message_bytes)
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
    # Most clients send the first message of a request at once, and only later is it known to belong
    # to a stream.
    _record(relay, log, direction, copying, head, exchange.started_at_ns if direction == IN else 0)
    recorded = copying.is_between

    if not copying.skip(before - len(head)):
        # The window does not contain even the prefix of the message: copy from the next one on.
        counter.copy(copying.max_bytes)
        log.record(direction, (), room_used=0, dropped=counter.messages - recorded)
        return counter

    return copying


def _record(
    relay: RelayState,
    log: MessageLog,
    direction: int,
    counter: MessageCounter,
    data: bytes,
    at_ns: int = 0,
) -> None:
    """Count and record the messages that a piece of a body completes."""
    found = counter.found
    if found is None:
        counter.add(data)
        return

    room = log.room()
    counted = counter.messages
    counter.room = room
    counter.add(data)
    room_used = room - counter.room
    dropped = counter.messages - counted - room_used
    if not (found or room_used or dropped):
        return

    log.sessions[direction] = log.sessions[direction] or _session_of(relay, direction)
    log.record(direction, found, at_ns, room_used=room_used, dropped=dropped)
    found.clear()
    side = relay.client if direction == IN else relay.upstream
    if side is not None:
        log.hold(side)


def _session_of(relay: RelayState, direction: int) -> bytes:
    """Return the data that the collector needs to read messages: path, content type and coding."""
    exchange = relay.exchange
    assert exchange is not None
    line = exchange.request_head[: exchange.request_head.find(b"\r\n")]
    path = line.partition(b" ")[2].partition(b" ")[0].partition(b"?")[0]
    if direction == IN:
        head = exchange.request_head
    else:
        head = exchange.response_head
    return b"\n".join((path[:MAX_TARGET_BYTES], _value(_TYPE, head), _value(_ENCODING, head)))


def _value(field: re.Pattern[bytes], head: bytes) -> bytes:
    found = field.search(head)
    if found is None:
        return b""
    return found[1]
