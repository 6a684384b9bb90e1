"""Calls that answer later, with the real clients through a whole sidelog that is killed in between:
counted once.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.llm_clients import Clients
from tests.support.providers import jobs
from tests.support.sidelog import Sidelog, await_pids, eventually
from tests.support.upstream import running


@pytest.fixture
def sidelog(tmp_path: Path) -> Iterator[Sidelog]:
    """sidelog in front of providers whose jobs are done when they are asked for twice."""
    app = web.Application()
    jobs.add_routes(app)
    with running(app) as url, Sidelog(tmp_path / "data", url) as started:
        yield started


@pytest.fixture
def clients(sidelog: Sidelog) -> Iterator[Clients]:
    """The clients, pointed at it."""
    made = Clients(sidelog.url)
    yield made
    made.close()


def stored(sidelog: Sidelog, number: int) -> list[dict[str, Any]]:
    """The records, oldest first, once there are so many."""
    found = eventually(lambda: records if len(records := exchanges(sidelog)) >= number else None)
    assert len(found) == number
    return found


def exchanges(sidelog: Sidelog) -> list[dict[str, Any]]:
    return sorted(sidelog.records("kind=exchange"), key=lambda record: record["started_at_us"])


def kill_collector(sidelog: Sidelog) -> None:
    """Kill it; its successor knows only what the store has."""
    (old,) = await_pids(sidelog, "proxy.collector")
    os.kill(old, signal.SIGKILL)
    eventually(
        lambda: (pids := sidelog.pids("proxy.collector")) and pids != [old] and sidelog.is_ready()
    )


def check_once(
    sidelog: Sidelog, shown: list[dict[str, Any]], counted: int, truth: tuple[int, int]
) -> None:
    """One record has the tokens, all but the first name what began it, and the totals have them
    once.
    """
    assert [record["input_tokens"] for record in shown] == [
        truth[0] if place == counted else None for place in range(len(shown))
    ]
    assert shown[counted]["output_tokens"] == truth[1]
    assert shown[counted]["usage_state"] == "exact"
    assert shown[0]["usage_state"] == "later"
    assert {record["begun_by"] for record in shown[1:]} == {shown[0]["id"]}
    assert sidelog.record(shown[0]["id"])["answered_by"] == [shown[counted]["id"]]
    usage = sidelog.api("/api/summary")["usage"]
    assert (usage["calls"], usage["input_tokens"], usage["output_tokens"]) == (1, *truth)


def test_a_background_response(sidelog: Sidelog, clients: Clients) -> None:
    """Begun, asked for before and after it is done, over two kills."""
    begun = clients.openai.responses.create(
        model="gpt-5.1", input="what is a sidecar", background=True
    )
    assert begun.status == "queued"
    stored(sidelog, 1)
    kill_collector(sidelog)
    assert clients.openai.responses.retrieve(begun.id).status == "in_progress"
    done = clients.openai.responses.retrieve(begun.id)
    stored(sidelog, 3)
    kill_collector(sidelog)
    clients.openai.responses.retrieve(begun.id)
    assert done.usage is not None
    check_once(sidelog, stored(sidelog, 4), 2, (done.usage.input_tokens, done.usage.output_tokens))


def test_a_batch_of_openai(sidelog: Sidelog, clients: Clients) -> None:
    """Counted with its file, which is downloaded twice."""
    batches = clients.openai.batches
    batches.create(
        input_file_id="file-in", endpoint="/v1/chat/completions", completion_window="24h"
    )
    batches.retrieve("batch_1")
    ended = batches.retrieve("batch_1")
    stored(sidelog, 3)
    kill_collector(sidelog)
    for _ in range(2):
        assert ended.output_file_id is not None
        clients.openai.files.content(ended.output_file_id)
    shown = stored(sidelog, 5)
    check_once(sidelog, shown, 3, (66, 6))
    assert shown[3]["data"]["batch"]["requests"] == 3
    assert shown[3]["model"] == "gpt-4o-2024-08-06"
    if shown[3]["cost_usd"] is not None:  # the price list is an extra
        assert shown[3]["cost_usd"] == pytest.approx(66 * 1.25e-6 + 6 * 5e-6)


@pytest.mark.long
def test_a_batch_of_anthropic(sidelog: Sidelog, clients: Clients) -> None:
    """Two models, one file; the tokens are those of the messages that the client read."""
    batches = clients.anthropic.messages.batches
    params: Any = [
        {"custom_id": name, "params": {
            "model": model, "max_tokens": 100, "messages": [{"role": "user", "content": f"tell me about {name}"}]}}
        for name, model in (("a", "claude-sonnet-4-5"), ("b", "claude-haiku-4-5"))
    ]  # fmt: skip
    begun = batches.create(requests=params)
    assert batches.retrieve(begun.id).processing_status == "in_progress"
    messages: list[Any] = [line.result for line in batches.results(begun.id)]
    usages = [result.message.usage for result in messages]
    # The client asks for the batch again, for the address of its results.
    shown = stored(sidelog, 4)
    truth = (
        sum(usage.input_tokens for usage in usages),
        sum(usage.output_tokens for usage in usages),
    )
    check_once(sidelog, shown, 3, truth)
    models = {one["model"]: one["output_tokens"] for one in shown[3]["data"]["batch"]["models"]}
    assert models == {
        result.message.model: result.message.usage.output_tokens for result in messages
    }
    assert shown[3]["model"] is None
