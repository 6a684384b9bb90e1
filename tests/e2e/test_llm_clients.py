"""Real LLM clients through whole processes: they see what they see without sidelog, and the log
says what they saw.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest

from api.dialects.gateway import format_request_id
from storage.record import parse_id
from tests.e2e.llm_cases import (
    CASES,
    RUNNING_USAGE,
    Facts,
    chat,
    content_stream,
    line_chat,
    message,
    response,
)
from tests.support.gate import FRAMES_HEADER, gated, open_gate
from tests.support.llm_clients import Clients, heard, plain
from tests.support.providers.upstream import application
from tests.support.sidelog import Sidelog
from tests.support.upstream import running


class World(NamedTuple):
    """The demo upstream asked directly, and through a sidelog before whose upstream a gate can be
    shut.
    """

    direct: Clients
    proxied: Clients
    sidelog: Sidelog
    gate: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start all; streams do not pause by themselves."""
    data = tmp_path_factory.mktemp("llm") / "data"
    with (
        running(application(0)) as origin,
        running(gated(origin)) as gate,
        Sidelog(data, gate) as sidelog,
    ):
        direct = Clients(origin)
        proxied = Clients(sidelog.url)
        try:
            yield World(direct, proxied, sidelog, gate)
        finally:
            direct.close()
            proxied.close()


def row_of(sidelog: Sidelog, name: str) -> dict[str, Any]:
    """The row of the gateway's request log with the id of a record."""
    raw = parse_id(name)
    assert raw is not None
    rows = {row["id"]: row for row in sidelog.api("/v1/requests?limit=500&llm_only=true")["data"]}
    row: dict[str, Any] = rows[format_request_id(raw)]
    return row


class Answer(NamedTuple):
    """What one question brought, twice."""

    direct: Any
    proxied: Any
    records: list[str]
    """Ids of the records of the second."""


@pytest.fixture(scope="module")
def answers(world: World) -> dict[str, Answer]:
    """Ask everything at once, so that the log is waited for once."""
    found: dict[str, Answer] = {}
    for name, case in CASES.items():
        asked = len(world.proxied.ids)
        direct = heard(partial(case.ask, world.direct))
        proxied = heard(partial(case.ask, world.proxied))
        found[name] = Answer(direct, proxied, world.proxied.ids[asked:])

    return found


@pytest.mark.parametrize("name", CASES)
def test_clients_see_and_log_says_the_same(
    world: World, answers: dict[str, Answer], name: str
) -> None:
    """The answer is the same with and without sidelog; the record and its row say what the answer
    said.
    """
    answer = answers[name]
    assert answer.proxied == answer.direct
    (record_id,) = answer.records
    record = world.sidelog.record(record_id)
    facts = CASES[name].facts(answer.direct)
    assert {field: record[field] for field in facts} == facts
    row = row_of(world.sidelog, record_id)
    for field in ("model", "provider", "status", "input_tokens", "output_tokens"):
        assert row[field] == record[field]
    assert row["error"] == record["error_type"]


class Streamed(NamedTuple):
    """A stream that can be held, and what was used when it is left: from the parts heard until
    then.
    """

    ask: Callable[[Clients], Any]
    path: str
    frames: int
    """Frames that the upstream lets through before it waits."""
    heard: int
    """Parts that the client makes of them."""
    used: Callable[[list[Any]], Facts]


def openai_use(parts: list[Any]) -> Facts:
    """What the running counts say."""
    usage = parts[-1]["usage"]
    return {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}


def anthropic_use(parts: list[Any]) -> Facts:
    """The input of the beginning; its output only stands for a count, and later ones never came."""
    usage = parts[0]["message"]["usage"]
    cached = usage["cache_read_input_tokens"]
    return {"input_tokens": usage["input_tokens"] + cached, "output_tokens": None}


def gemini_use(parts: list[Any]) -> Facts:
    """The counts so far of the last part."""
    usage = parts[-1]["usage_metadata"]
    return {
        "input_tokens": usage["prompt_token_count"],
        "output_tokens": usage["candidates_token_count"],
    }


def no_use(parts: list[Any]) -> Facts:
    """Counts come only at the end."""
    assert parts
    return {"input_tokens": None, "output_tokens": None}


STREAMS: dict[str, Streamed] = {
    "chat": Streamed(lambda c: chat(c, **RUNNING_USAGE), "/v1/chat/completions", 8, 8, openai_use),
    "chat without usage": Streamed(
        lambda c: chat(c, stream=True), "/v1/chat/completions", 8, 8, no_use
    ),
    "response": Streamed(lambda c: response(c, stream=True), "/v1/responses", 8, 8, no_use),
    # The client keeps the one `ping` among them to itself.
    "message": Streamed(lambda c: message(c, stream=True), "/v1/messages", 8, 7, anthropic_use),
    "content": Streamed(content_stream, "streamGenerateContent", 8, 8, gemini_use),
    "ollama": Streamed(lambda c: line_chat(c, stream=True), "/api/chat", 8, 8, no_use),
}


@pytest.fixture
def clients(world: World, request: pytest.FixtureRequest) -> Iterator[Clients]:
    """Clients whose streams are held after as many frames as the test is parametrized with."""
    made = Clients(world.sidelog.url, {FRAMES_HEADER: str(request.param)})
    try:
        yield made
    finally:
        made.close()
        world.proxied.ids.extend(made.ids)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("clients", [1], indirect=True)
def test_first_event_arrives_while_the_upstream_waits(
    world: World, clients: Clients, name: str
) -> None:
    """The first event is with the client while the second does not exist yet; then comes all the
    rest.
    """
    stream = iter(STREAMS[name].ask(clients))
    parts = [plain(next(stream))]
    open_gate(world.gate)
    parts += [plain(part) for part in stream]
    assert len(parts) > 20
    record = world.sidelog.record(clients.ids[-1])
    assert (record["outcome"], record["stream"]["finished"]) == ("ok", True)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("clients", [8], indirect=True)
def test_a_stream_that_is_left_keeps_what_was_used_so_far(
    world: World, clients: Clients, name: str
) -> None:
    """The client goes in the middle: the record says so, with the frames that came and the last
    counts that did.
    """
    streamed = STREAMS[name]
    stream = streamed.ask(clients)
    iterator = iter(stream)
    parts = [plain(next(iterator)) for _ in range(streamed.heard)]
    stream.close()
    clients.close()
    record = world.sidelog.record(clients.ids[-1])
    open_gate(world.gate)
    used = streamed.used(parts)
    state = "partial" if used["input_tokens"] else "absent"
    assert {field: record[field] for field in used} == used
    assert (record["status"], record["outcome"], record["usage_state"]) == (
        200,
        "client_closed",
        state,
    )
    assert (record["stream"]["frames"], record["stream"]["finished"]) == (streamed.frames, False)
    assert record["finish_reason"] is None
    assert streamed.path in record["path"]


def test_every_call_is_logged_once(world: World) -> None:
    """No call is missing and none is there twice."""
    world.sidelog.settled_ledger()
    rows = world.sidelog.api("/v1/requests?limit=500&llm_only=true")
    names = [
        format_request_id(raw) for name in world.proxied.ids if (raw := parse_id(name)) is not None
    ]
    assert sorted(row["id"] for row in rows["data"]) == sorted(names)
    assert rows["total"] == len(names) > 0
