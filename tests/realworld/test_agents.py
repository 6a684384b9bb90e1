"""Coding agents, each against the same scripted model: what they do is the same, and the record
says what they did.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.realworld import agents
from tests.realworld.agent_upstream import ANSWER, Answered, Model, Turn
from tests.realworld.proxied import Proxied, proxied
from tests.support.upstream import running

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(600)]
_COLUMNS: Final = tuple(
    field.name for field in dataclasses.fields(Answered) if field.name != "turn"
)


@dataclasses.dataclass(frozen=True)
class Case:
    """An agent, and what it asks of a model to answer one question."""

    start: Callable[[agents.Place], agents.Start]
    asides: int = 0
    """Calls beside a command and the answer: a title, a router, a warm-up."""
    conversations: int = 1
    is_socket: bool = False
    """Its calls are events of one exchange."""


CASES: Final = {
    "claude": Case(agents.claude),
    "codex": Case(agents.codex),
    "codex-websocket": Case(agents.codex_socket, asides=1, is_socket=True),
    # Its router asks another model first, and nothing in the requests joins the two: no session,
    # another history.
    "gemini": Case(agents.gemini, asides=1, conversations=2),
    "opencode-anthropic": Case(agents.opencode("anthropic/claude-sonnet-4-5"), asides=1),
    "opencode-openai": Case(agents.opencode("openai/gpt-5"), asides=1),
    "opencode-chat": Case(agents.opencode("local/local-model"), asides=1),
    "mini-swe-agent": Case(agents.mini),
}


def ask(case: Case, model: Model, directory: Path, url: str) -> tuple[str, Counter[Turn]]:
    """Run an agent, which must have read the notes; return its answer and how often it asked what."""
    before = len(model.calls), len(model.results)
    answer = agents.ask(case.start, directory, url)
    assert any(agents.NOTES in result for result in model.results[before[1] :])
    return answer, Counter(call.turn for call in model.calls[before[0] :])


def recorded_calls(way: Proxied, case: Case) -> list[dict[str, Any]]:
    """Return the calls of the record, oldest first: exchanges, or the messages that ended a
    response.
    """
    records = way.check_record()
    if not case.is_socket:
        return [record for record in records if record["provider"]]

    (handshake,) = [record for record in records if record["status"] == 101]
    assert handshake["path"] == "/v1/responses"
    events = way.sidelog.records("kind=event&order=asc")
    return [event for event in events if event["provider"]]


def comparable(calls: Sequence[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
    """Count calls by what is to be known of them; lists can be counted as tuples only."""
    rows = ({name: call[name] for name in _COLUMNS} for call in calls)
    return Counter(
        tuple((row | {"called_tools": tuple(row["called_tools"] or ())}).values()) for row in rows
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_agent_works_and_is_recorded(tmp_path: Path, case: Case) -> None:
    """It says the same; each call is recorded to the token, all in one conversation; nothing else
    is a call.
    """
    model = Model()
    with running(model.application()) as origin:
        direct = ask(case, model, tmp_path / "direct", origin)
        model.calls.clear()
        model.others.clear()

        with proxied(tmp_path, origin) as way:
            assert ask(case, model, tmp_path / "proxied", way.url) == direct
            calls = recorded_calls(way, case)
            records = way.records()
            conversations = way.sidelog.api("/api/conversations")["conversations"]
            details = [way.sidelog.record(record["id"]) for record in [*records, *calls]]

    asides = {"aside": case.asides} if case.asides else {}
    assert direct == (ANSWER, Counter({"command": 1, "answer": 1} | asides))
    assert comparable(calls) == comparable([dataclasses.asdict(call) for call in model.calls])
    assert {call["usage_state"] for call in calls} == {"exact"}
    assert {call["stream"]["end"] for call in calls if call["stream"]} <= {None, "complete"}
    assert len({call["conversation"] for call in calls}) == len(conversations) == case.conversations
    assert {call["conversation"] for call in calls} == {each["id"] for each in conversations}
    assert sum(each["turns"] for each in conversations) == len(calls)
    assert all(agents.QUESTION in each["title"] for each in conversations)
    others = [
        record for record in records if record["provider"] is None and record["status"] != 101
    ]
    assert Counter((record["method"], record["path"]) for record in others) == Counter(model.others)
    assert agents.KEY not in json.dumps(details)
