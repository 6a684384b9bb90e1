"""The real clients of Realtime, Responses over a WebSocket and Live through a whole sidelog: each
response is a call.

Without any configuration; compared with what the client was told, to the token; compressed, and
with texts not kept.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from aiohttp import web

from tests.support.long import long
from tests.support.providers import sessions
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import running

pytestmark = pytest.mark.filterwarnings(
    "ignore:connect.. must be used as a context manager:DeprecationWarning"
)
"""The client of OpenAI opens sockets in a way that its library wants to see no more."""
QUESTIONS = ("what is a sidecar", "and what does it cost me in the end")
SECRET = "what is a sidecar"


class Truth(NamedTuple):
    """What the client was told of one response."""

    input_tokens: int
    output_tokens: int


def provider() -> web.Application:
    app = web.Application()
    sessions.add_routes(app)
    return app


@pytest.fixture(scope="module", params=["body", long("headers"), long("usage")])
def sidelog(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sidelog]:
    """sidelog in front of the fake providers, at each level that reads calls."""
    level = str(request.param)
    data_dir = tmp_path_factory.mktemp("live") / "data"
    with (
        running(provider()) as url,
        Sidelog(data_dir, url, environ={"SIDELOG_CAPTURE__LEVEL": level}) as started,
    ):
        yield started


def talk_realtime(url: str, compress: int) -> list[Truth]:
    """Ask in one Realtime session."""
    # Here: a second and a half that every run would pay when it collects.
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(api_key="sk-test", websocket_base_url=url.replace("http", "ws") + "/v1")
    truth = []

    with client.realtime.connect(
        model="gpt-realtime", extra_query={"compress": str(compress)}
    ) as connection:
        for question in QUESTIONS:
            content = [{"type": "input_text", "text": question}]
            connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": content}
            )
            connection.response.create()

            for event in connection:
                if event.type == "response.done":
                    usage = event.response.usage
                    truth.append(Truth(usage.input_tokens, usage.output_tokens))
                    break

    return truth


def talk_responses(
    url: str, compress: int, between: Callable[[], object] = lambda: None
) -> list[Truth]:
    """Ask in one session of the Responses API; `between` is called behind each answer."""
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(api_key="sk-test", websocket_base_url=url.replace("http", "ws") + "/v1")
    truth = []

    with client.responses.connect(extra_query={"compress": str(compress)}) as connection:
        for question in QUESTIONS:
            connection.response.create(model="gpt-5.1", input=question)
            for event in connection:
                if event.type == "response.completed":
                    usage = event.response.usage
                    truth.append(Truth(usage.input_tokens, usage.output_tokens))
                    break
            between()

    return truth


def talk_live(url: str, compress: int) -> list[Truth]:
    """Ask in one Live session; its client always offers compression."""
    genai = pytest.importorskip("google.genai")

    async def talk() -> list[Truth]:
        client = genai.Client(api_key="test", http_options={"base_url": url})
        # It would insist on TLS.
        client._api_client._websocket_base_url = lambda *_: url.replace("http", "ws")
        client._api_client._websocket_ssl_ctx = {}
        truth: list[Truth] = []

        async with client.aio.live.connect(model="gemini-2.0-flash-live-001") as session:
            for question in QUESTIONS:
                turn = {"role": "user", "parts": [{"text": question}]}
                await session.send_client_content(turns=turn)
                told = [
                    message.usage_metadata
                    async for message in session.receive()
                    if message.usage_metadata
                ]
                truth += [
                    Truth(usage.prompt_token_count, usage.response_token_count) for usage in told
                ]

        return truth

    return asyncio.run(talk())


CASES = (
    (talk_realtime, "/v1/realtime", "openai", "gpt-realtime"),
    (talk_responses, "/v1/responses", "openai", "gpt-5.1"),
    (talk_live, "/ws/google.ai", "gemini", "gemini-2.0-flash-live-001"),
)


def session_of(sidelog: Sidelog, path: str, known: set[str]) -> dict[str, Any] | None:
    """A session that was not known before, once it has ended."""
    found = [record for record in sidelog.records() if (record["path"] or "").startswith(path)]
    return next((record for record in found if record["id"] not in known), None)


@pytest.mark.parametrize("compress", [0, 1])
@pytest.mark.parametrize(
    ("talk", "path", "whose", "model"), CASES, ids=["realtime", "responses", "live"]
)
def test_each_response_is_a_call(
    sidelog: Sidelog, talk: Any, path: str, whose: str, model: str, compress: int
) -> None:
    """Model, tokens and cost as the client was told; the session has the sum, the totals count each
    once.
    """
    before = sidelog.api("/api/summary")["usage"]
    known = {record["id"] for record in sidelog.records()}
    truth = talk(sidelog.url, compress)
    session = eventually(lambda: session_of(sidelog, path, known))
    calls = [
        record for record in sidelog.api(f"/api/records?kind=event&provider={whose}&limit=1000&order=asc")["records"]
        if record["id"] not in known and record["name"] == "websocket_message" and record["model"] == model
        and record["started_at_us"] >= session["started_at_us"]
    ]  # fmt: skip
    assert [Truth(call["input_tokens"], call["output_tokens"]) for call in calls] == truth
    assert {call["usage_state"] for call in calls} == {"exact"}
    summed = session["data"]["llm"]
    assert (summed["calls"], summed["model"], summed["provider"]) == (len(truth), model, whose)
    assert summed["input_tokens"] == sum(one.input_tokens for one in truth)
    assert summed["output_tokens"] == sum(one.output_tokens for one in truth)
    assert summed["complete"] is True
    after = sidelog.api("/api/summary")["usage"]
    assert after["calls"] - before["calls"] == len(truth)
    assert after["input_tokens"] - before["input_tokens"] == summed["input_tokens"]
    keeps_text = sidelog.api("/api/status")["configuration"]["capture"]["level"] == "body"
    conversation = sidelog.api(f"/api/conversations/{calls[0]['conversation']}")
    assert [call["id"] for call in conversation["calls"]] == [call["id"] for call in calls]
    if talk is talk_responses:
        assert all(call["duration_us"] > 0 for call in calls)
        assert conversation["title"] == (QUESTIONS[0] if keeps_text else None)
    if not keeps_text:
        shown = sidelog.api("/api/records?kind=event&limit=1000")["records"]
        assert SECRET not in str(shown)
        assert all(
            record["data"]["omitted"] == "level"
            for record in shown
            if record["name"] == "websocket_message"
        )


def test_calls_are_counted_by_the_facts_of_their_connection(sidelog: Sidelog) -> None:
    """Whatever a search asks of a request, and whatever they are grouped by: the requests stay as
    many as there were handshakes.
    """
    known = {record["id"] for record in sidelog.records()}
    talk_responses(sidelog.url, 0)
    eventually(lambda: session_of(sidelog, "/v1/responses", known))
    asked = {"query": "model:gpt-5.1"}
    expected = sidelog.api(f"/api/summary?{urlencode(asked)}")
    assert expected["usage"]["calls"] >= len(QUESTIONS)

    searches = [
        *("path:/v1/responses", "endpoint:/v1/responses", "host:127.0.0.1*", "method:GET"),
        *("ua:*", "client:127.0.0.0/8", "status:101", "upstream:*"),
    ]
    groups = ["path", "endpoint", "host", "method", "user_agent", "client_ip", "status", "outcome"]
    level = sidelog.api("/api/status")["configuration"]["capture"]["level"]
    if level != "usage":
        searches += ["header.upgrade:websocket", "request_header.authorization:*"]
        groups.append("header.upgrade")
    for search in searches:
        given = urlencode({"query": f"{search} model:gpt-5.1"})
        found = sidelog.api(f"/api/summary?{given}")
        assert (found["exchanges"], found["usage"]) == (
            expected["exchanges"],
            expected["usage"],
        ), search
    for group in groups:
        top = sidelog.api(f"/api/top?{urlencode(asked | {'by': group})}")
        sums = [
            (row["exchanges"], row["input_tokens"], row["output_tokens"]) for row in top["rows"]
        ]
        usage = expected["usage"]
        assert [tuple(map(sum, zip(*sums, strict=True)))] == [
            (expected["exchanges"], usage["input_tokens"], usage["output_tokens"])
        ], group


def test_a_new_collector_knows_the_connections_that_last(sidelog: Sidelog) -> None:
    """One that was killed meanwhile: the next call of the connection has its path, too."""
    asked = f"/api/summary?{urlencode({'query': 'path:/v1/responses model:gpt-5.1'})}"
    before = sidelog.api(asked)["usage"]["calls"]

    def kill() -> None:
        eventually(lambda: sidelog.is_in_flight("/v1/responses"))
        [collector] = sidelog.pids("proxy.collector")
        os.kill(collector, signal.SIGKILL)
        eventually(lambda: sidelog.pids("proxy.collector") not in ([], [collector]))
        eventually(sidelog.is_ready)

    talk_responses(sidelog.url, 0, kill)
    eventually(lambda: sidelog.api(asked)["usage"]["calls"] == before + len(QUESTIONS))
