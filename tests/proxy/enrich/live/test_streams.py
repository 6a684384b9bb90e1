"""Responses that run side by side on one connection: each end meets its own request; one that is
told twice is one.

Messages as in https://developers.openai.com/api/docs/guides/websocket-mode.
"""

import json
from typing import Any

from proxy.enrich.live.pending import MAX_PENDING
from proxy.enrich.readers.live import Live
from proxy.ring.message import IN
from storage.record import Entry
from tests.proxy.enrich.live.world import RESPONSES, World

SECOND_NS = 1_000_000_000


def ask(
    world: World, stream: str | None, model: str = "gpt-5.1", at_s: int = 0, **members: Any
) -> None:
    """Ask for a response in a stream."""
    named = {} if stream is None else {"stream_id": stream}
    world.say(
        {"type": "response.create", "model": model, **named, **members}, IN, at_ns=at_s * SECOND_NS
    )


def ended(
    stream: str | None, response: str, kind: str = "response.completed", **members: Any
) -> dict[str, Any]:
    """The event that ends a response in a stream."""
    named = {} if stream is None else {"stream_id": stream}
    usage = {"input_tokens": 10, "output_tokens": 5}
    document = {
        "id": response,
        "object": "response",
        "status": "completed",
        "output": [],
        "usage": usage,
    }
    return {"type": kind, **named, "response": document | members}


def asked_for(entry: Entry) -> Any:
    """The request that is stored with a call, if any."""
    body = entry.payload and entry.payload.request_body
    return json.loads(body.head) if body else None


def test_each_stream_has_its_own_call() -> None:
    """Its model, its request, its time and its pace, whichever ends first."""
    world = World(RESPONSES)
    ask(world, "a", "gpt-5.1", 0, input="A")
    ask(world, "b", "gpt-5-mini", 5, input="B")
    world.say(
        {"type": "response.created", "stream_id": "a", "response": {"id": "ra"}},
        at_ns=6 * SECOND_NS,
    )
    world.say(
        {"type": "response.output_text.delta", "delta": "x", "stream_id": "b"}, at_ns=7 * SECOND_NS
    )
    world.say(
        {"type": "response.output_text.delta", "stream_id": "a", "delta": "x"}, at_ns=8 * SECOND_NS
    )
    first = world.pass_on(ended("a", "ra"), at_ns=10 * SECOND_NS)

    second = world.pass_on(ended("b", "rb"), at_ns=11 * SECOND_NS)
    for entry, model, text, seconds, content_s, frames in (
        (first, "gpt-5.1", "A", 10, 8, 3), (second, "gpt-5-mini", "B", 6, 2, 2),
    ):  # fmt: skip
        record = entry.record
        assert (record.model, record.duration_us, asked_for(entry)["input"]) == (
            model,
            seconds * 1_000_000,
            text,
        )
        assert record.stream is not None
        assert (record.stream.first_content_us, record.stream.frames) == (
            content_s * 1_000_000,
            frames,
        )

    summed = world.end()
    assert (summed["calls"], summed["complete"]) == (2, True)


def test_requests_of_one_stream_are_answered_in_order() -> None:
    """Also where there is only the one without a name."""
    for stream in ("a", None):
        world = World(RESPONSES)
        for text in "AB":
            ask(world, stream, input=text)
        assert [asked_for(world.pass_on(ended(stream, text)))["input"] for text in "AB"] == [
            "A",
            "B",
        ]


def test_an_error_is_that_of_its_stream() -> None:
    """Each of two that were refused is a call, and a server that names no stream means the only one
    there is.
    """
    world = World(RESPONSES)
    ask(world, "a", "gpt-5.1")
    ask(world, "b", "gpt-5-mini")
    error = {"type": "error", "status": 400, "error": {"code": "previous_response_not_found"}}
    refused = [world.say(error | named) for named in ({"stream_id": "a"}, {})]
    assert [record.model for record in refused] == ["gpt-5.1", "gpt-5-mini"]
    assert {record.error_type for record in refused} == {"previous_response_not_found"}
    assert world.say(error | {"stream_id": "a"}).provider is None, "nothing was asked for"


def test_calls_of_a_stream_are_of_the_session_that_it_states() -> None:
    """Two agents may share a connection."""
    world = World(RESPONSES)
    for stream in "ab":
        ask(world, stream, prompt_cache_key=f"01a205e4-73dc-78f3-8e9f-c764c011a8{stream * 2}")
    conversations = {stream: world.say(ended(stream, stream)).conversation for stream in "ab"}
    assert len({*conversations.values(), None, world.id}) == 4


def test_an_end_that_is_told_twice_is_one_call() -> None:
    """`response.done` may follow, also where it was cut; the next call, which may be under way, is
    not ended by it.
    """
    world = World(RESPONSES)
    for number in range(2):
        ask(world, "a", input=str(number))
    assert world.say(ended("a", "r0")).input_tokens == 10
    repeated = ended("a", "r0", "response.done")
    assert world.say(repeated).provider is None
    raw = json.dumps(repeated).encode()
    assert world.say(raw[:-40], size=len(raw)).provider is None
    assert asked_for(world.pass_on(ended("a", "r1", "response.done")))["input"] == "1"
    summed = world.end()
    assert (summed["calls"], summed["input_tokens"]) == (2, 20)


def test_ids_are_told_apart_by_all_of_them() -> None:
    """Gateways write long ones that begin alike."""
    world = World(RESPONSES)
    for end in "xy":
        ask(world, "s" * 1000 + end, input=end)
    for end in "yx":
        entry = world.pass_on(ended("s" * 1000 + end, "r" * 1000 + end))
        assert (entry.record.input_tokens, asked_for(entry)["input"]) == (10, end)


def test_a_response_whose_end_never_came_holds_up_no_other() -> None:
    """That the next one of its stream begins tells so; what it used is missing."""
    world = World(RESPONSES)
    for text in "AB":
        ask(world, None, input=text)
        world.say({"type": "response.created", "response": {"id": text}})
    assert asked_for(world.pass_on(ended(None, "B")))["input"] == "B"
    assert world.end()["complete"] is False


def test_a_message_that_was_cut_is_of_its_stream() -> None:
    """Its counts are lost, those of the others are not."""
    world = World(RESPONSES)
    ask(world, "a", "gpt-5.1")
    ask(world, "b", "gpt-5-mini")
    raw = json.dumps(ended("b", "rb")).encode()
    lost = world.say(raw[:-40], size=len(raw))
    assert (lost.model, lost.usage_state) == ("gpt-5-mini", "lost")
    assert world.say(ended("a", "ra")).model == "gpt-5.1"


def test_calls_that_wait_are_bounded() -> None:
    """Of those that waited longest nothing is known but their end, and the session says that
    something is missing.
    """
    world = World(RESPONSES)
    for number in range(MAX_PENDING + 2):
        ask(world, "a", at_s=number, input=str(number))
    ask(world, "b", at_s=999, input="b")
    found = [
        asked_for(world.pass_on(ended("a", f"r{number}"))) for number in range(MAX_PENDING + 2)
    ]
    assert [request["input"] for request in found[:-3]] == [
        str(number) for number in range(3, MAX_PENDING + 2)
    ]
    assert asked_for(world.pass_on(ended("b", "rb")))["input"] == "b"
    summed = world.end()
    assert (summed["calls"], summed["complete"]) == (MAX_PENDING + 3, False)


def test_streams_are_bounded() -> None:
    """Each may be named once and never again."""
    world = World(RESPONSES)
    for number in range(10 * MAX_PENDING):
        ask(world, f"s{number}", at_s=number, input=str(number))
    (live,) = (each for each in world.collector.builder._readers.all if isinstance(each, Live))
    sessions = live._sessions
    (session,) = sessions._sessions.values()
    assert len(session.pending) == MAX_PENDING
    assert sessions._request_bytes == session.pending.held_bytes < MAX_PENDING * 200
    last = 10 * MAX_PENDING - 1
    assert asked_for(world.pass_on(ended(f"s{last}", "r")))["input"] == str(last)
