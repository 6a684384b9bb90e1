"""Judges whether it matters how bytes arrive: whole, in pieces or one by one, the same must be
forwarded and refused.

Which of several objections is raised first may differ (a head that is too long and malformed);
whether there is one, and what went upstream before it, may not.
"""

from functools import partial
from typing import Final, NamedTuple

from tests.fuzz.parsers import Judge
from tests.fuzz.request_grammar import RequestCase
from tests.fuzz.strict import read_requests
from tests.fuzz.world import Wire, World

MAX_SINGLE_BYTES: Final = 600
"""Longer input is not sent byte by byte: it would take most of the time."""


_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


class Story(NamedTuple):
    """What came of an input."""

    messages: list[tuple[bytes, bytes, bytes]]
    is_refused: bool
    statuses: list[int]
    """Of the requests that were forwarded."""


def run_splits(world: World, judge: Judge, case: RequestCase) -> str:
    """Run one input in all manners; return the difference, or nothing."""
    size = len(case.data)
    try:
        whole = _story(world, case.data, [])
        manners = [case.cuts, [size // 2], list(range(1, size)) if size <= MAX_SINGLE_BYTES else []]
        for cuts in manners:
            found = _story(world, case.data, cuts)
            if found != whole:
                return f"whole: {whole}, cut at {cuts[:8]}: {found}"
    except Exception as error:  # whatever it is, it is a finding
        return f"raised {error!r}"
    finally:
        world.clear()

    return ""


def _story(world: World, data: bytes, cuts: list[int]) -> Story:
    wires: list[Wire] = []

    def answer(wire: Wire) -> None:
        wires.append(wire)
        done = [0]

        def look() -> None:
            messages = read_requests(bytes(wire.written)).messages
            for message in messages[done[0] :]:
                done[0] += 1
                world.soon(
                    partial(wire.deliver, _HEAD if message.method == b"HEAD" else _HEAD + b"ok")
                )

        wire.on_write = look

    world.on_upstream = answer
    client = world.client()
    at = 0

    for cut in [*cuts, len(data)]:
        client.deliver(data[at:cut])
        at = cut
        world.pump()

    client.lose()
    world.pump()
    statuses = [record.status for record in world.records()]
    messages = [m.identity for wire in wires for m in read_requests(bytes(wire.written)).messages]
    is_refused = any(status >= 400 and status != 499 for status in statuses)
    world.clear()
    return Story(messages, is_refused, [status for status in statuses if status < 400])
