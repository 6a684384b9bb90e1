"""Conversations: which calls belong together, through whole records; and which never do."""

import json
from typing import Any

import pytest

from proxy.enrich.conversations.conversation import Conversations
from proxy.ring.exchange import FLAG_BODIES_OFF
from storage.record import Outcome, Record
from tests.proxy.enrich.calls import CHAT_ANSWER, sse
from tests.proxy.enrich.exchanges import Collector, exchange
from tests.support.cases import each_of

SESSION = "6f1c2f3e-9a0b-4a51-9f38-1f2e3d4c5b6a"
Message = dict[str, Any]


class Client(Collector):
    """A client of one sidecar, as its collector sees it."""

    def call(
        self,
        body: object,
        *,
        path: str = "/v1/chat/completions",
        answer: object = CHAT_ANSWER,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Record:
        """Make one call and return its record."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        return self.read(exchange(path, body, answer, request_headers=lines, **more)).record

    def chat(self, *messages: Message, **more: Any) -> bytes:
        """Make a call of a chat and return its conversation."""
        conversation = self.call({"model": "m", "messages": messages}, **more).conversation
        assert conversation is not None
        return conversation


def user(text: str) -> Message:
    """What a user said."""
    return {"role": "user", "content": text}


def model(text: str) -> Message:
    """What the model said."""
    return {"role": "assistant", "content": text}


LATER = (user("a"), model("b"), user("c"))
"""What is sent when the model has answered."""


@pytest.fixture
def client() -> Client:
    """A client without a session."""
    return Client()


def test_a_growing_history_is_one_conversation(client: Client) -> None:
    """Each call begins with all that the one before sent, and what the model said to it."""
    history = [user("do it")]
    met = []
    for turn in range(20):
        met.append(client.chat(*history))
        history += [
            model(f"step {turn}"),
            {"role": "tool", "tool_call_id": str(turn), "content": "done"},
        ]

    assert len(set(met)) == 1


def test_the_first_call_names_the_conversation(client: Client) -> None:
    """A call that continues nothing begins one under its own id."""
    record = client.call({"model": "m", "messages": [user("a")]})
    assert record.conversation == record.id


def test_another_run_with_the_same_words_is_another_conversation(client: Client) -> None:
    """One after the other, and two at once."""
    first = [client.chat(user("a")), client.chat(*LATER)]
    second = [client.chat(user("a")), client.chat(*LATER)]
    assert (len(set(first)), len(set(second)), len({*first, *second})) == (1, 1, 2)
    begun = [client.chat(user("x")), client.chat(user("x"))]
    went_on = [
        client.chat(user("x"), model("1"), user("y")),
        client.chat(user("x"), model("2"), user("y")),
    ]
    assert sorted(begun) == sorted(went_on)
    assert len(set(begun)) == 2


def test_another_try_belongs_to_the_conversation(client: Client) -> None:
    """The same request again after a failure, or later in the history."""
    failed = client.chat(user("a"), answer={"error": {"type": "overloaded"}}, status=529)
    assert client.chat(user("a")) == failed
    assert {client.chat(*LATER), client.chat(*LATER)} == {failed}


def test_a_question_alone_continues_nothing(client: Client) -> None:
    """Two users' words one after the other without the model between them are no answer to
    anything.
    """
    assert client.chat(user("a")) != client.chat(user("a"), user("b"))


def test_a_branch_stays_with_its_conversation(client: Client) -> None:
    """A message that is edited, and asked again, goes back in the same history."""
    begun = client.chat(user("a"))
    assert client.chat(*LATER, model("d"), user("e")) == begun
    assert client.chat(user("a"), model("b"), user("edited")) == begun


@each_of(
    "headers",
    [
        {"x-claude-code-session-id": SESSION},
        {"X-Litellm-Session-Id": SESSION},
        {"Helicone-Session-Id": SESSION},
        {"session_id": SESSION},
        {"session-id": SESSION},
        {"conversation_id": SESSION},
        {"x-session-affinity": SESSION},
    ],
)
def test_a_session_that_a_header_names(client: Client, headers: dict[str, str]) -> None:
    """Calls of a session belong together, whatever they say; its name is nowhere in the record."""
    first = client.call({"messages": [user("a")]}, headers=headers)
    second = client.chat(user("b"), headers=headers)
    assert first.conversation == second
    assert first.conversation != client.chat(
        user("a"), headers=dict.fromkeys(headers, SESSION[::-1])
    )
    assert SESSION not in repr(first)


@each_of(
    "members",
    [
        {"metadata": {"session_id": SESSION}},
        {"metadata": {"user_id": f"user_ab12_account__session_{SESSION}"}},
        {"metadata": {"user_id": json.dumps({"device_id": "d", "session_id": SESSION})}},
        {"litellm_session_id": SESSION},
        {"session_id": SESSION},
        {"conversation": "conv_0123456789abcdef"},
        {"conversation": {"id": "conv_0123456789abcdef"}},
        {"prompt_cache_key": SESSION},
    ],
)
def test_a_session_that_the_body_names(client: Client, members: dict[str, Any]) -> None:
    """The same of members of the body, wherever clients put it."""
    first = client.call({"messages": [user("a")]} | members).conversation
    assert first == client.call({"messages": [user("b")]} | members).conversation
    assert first != client.chat(user("c"))


def test_gemini_cli_wraps_its_session(client: Client) -> None:
    """The session lies beside the contents."""
    path = "/v1internal:generateContent"
    answer = {"response": {"candidates": [{"finishReason": "STOP"}]}}
    asked = (
        {"contents": [{"role": "user", "parts": [{"text": text}]}], "session_id": SESSION}
        for text in "ab"
    )
    ids = {
        client.call({"model": "g", "request": each}, path=path, answer=answer).conversation
        for each in asked
    }
    assert len(ids) == 1


def test_one_cache_key_for_all_is_no_session(client: Client) -> None:
    """Applications use one key for all their calls."""
    keyed = [
        client.call({"messages": [user(text)], "prompt_cache_key": "my-app"}).conversation
        for text in "ab"
    ]
    assert keyed[0] != keyed[1]


def responded(name: str, **more: Any) -> dict[str, Any]:
    """A response of that id."""
    return {"id": name, "object": "response", "status": "completed", "model": "m"} | more


def respond(client: Client, number: int, previous: str | None, **more: Any) -> bytes | None:
    """Make a call of the Responses API and return its conversation."""
    body = {"model": "m", "input": f"question {number}"} | (
        {} if previous is None else {"previous_response_id": previous}
    )
    answer = responded(f"resp_{number}")
    return client.call(body, path="/v1/responses", answer=answer, **more).conversation


def test_a_response_that_is_continued(client: Client) -> None:
    """By the id of the response before, known or not."""
    begun = respond(client, 1, None)
    assert [
        respond(client, 2, "resp_1"),
        respond(client, 3, "resp_2"),
        respond(client, 4, "resp_1"),
    ] == [begun] * 3
    unknown = respond(client, 6, "resp_5")
    assert unknown not in (begun, None)
    assert [respond(client, 7, "resp_5"), respond(client, 8, "resp_6")] == [unknown] * 2


def test_an_interaction_that_is_continued(client: Client) -> None:
    """By the id of the one before, or by its steps."""

    def interact(number: int, asked: object, **more: Any) -> bytes | None:
        answer = responded(f"v1_{number}", object="interaction", model="g")
        body = {"model": "g", "input": asked} | more
        return client.call(body, path="/v1beta/interactions", answer=answer).conversation

    begun = interact(1, "question 1")
    assert begun is not None
    assert interact(2, "question 2", previous_interaction_id="v1_1") == begun
    assert interact(3, "question 2") != begun
    steps = [{"type": "user_input", "content": [{"type": "text", "text": "how is it?"}]}]
    begun = interact(4, steps)
    steps += [
        {"type": "thought", "signature": "s"},
        {"type": "model_output", "content": [{"type": "text", "text": "well"}]},
        {"type": "user_input", "content": [{"type": "text", "text": "and now?"}]},
    ]
    assert interact(5, steps) == begun


@pytest.mark.parametrize(
    "made",
    [
        {"type": "item_reference", "id": "rs_1"},
        {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "tools", "tools": []},
    ],
)
def test_a_history_that_refers_to_what_the_model_made(client: Client, made: Message) -> None:
    """As Vercel's AI SDK writes the history of a run whose reasoning stays with the provider."""
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}
    asked = [user("how is it?")]
    answer = responded("resp_1")
    calls = [
        client.call({"model": "m", "input": each}, path="/v1/responses", answer=answer)
        for each in (asked, [*asked, made, call, output])
    ]
    assert calls[1].conversation == calls[0].conversation is not None


def test_a_streamed_response_that_is_continued(client: Client) -> None:
    """The id is read from the stream."""
    response = responded("resp_s")
    kinds = ("response.created", "response.completed")
    answer = sse(*({"type": kind, "response": response} for kind in kinds))
    begun = client.call(
        {"input": "a"}, path="/v1/responses", answer=answer, content_type="text/event-stream"
    )
    assert begun.conversation is not None
    assert respond(client, 2, "resp_s") == begun.conversation


def test_a_response_that_is_fetched_later(client: Client) -> None:
    """The exchange that counts a background response belongs to the call that began it, others that
    ask do not.
    """
    begun = responded("resp_b", status="queued", background=True)
    done = begun | {"status": "completed", "usage": {"input_tokens": 5, "output_tokens": 7}}
    first = client.call(
        {"model": "m", "input": "a", "background": True}, path="/v1/responses", answer=begun
    )
    polls = [
        client.call("", path="/v1/responses/resp_b", method="GET", answer=answer)
        for answer in (begun, done, done)
    ]
    assert first.conversation is not None
    assert [poll.conversation for poll in polls] == [None, first.conversation, None]
    assert polls[1].input_tokens == 5


def test_nothing_crosses_a_tenant() -> None:
    """The same words, responses and sessions, seen by one collector, in two projects, or with two
    credentials.
    """
    routes = [{"id": name, "path": f"/{name}/", "project": name} for name in ("p", "q")]
    client = Client(**routes[0])
    other = Client(**routes[1])
    other.builder = client.builder
    for headers in ({}, {"x-session-id": SESSION}):
        met = {each.chat(*words, headers=headers) for each in (client, other) for words in _turns()}
        assert len(met) == 2
    responses = {
        respond(each, number, previous)
        for each in (client, other)
        for number, previous in ((1, None), (2, "resp_1"))
    }
    assert len(responses) == 2


def _turns() -> list[tuple[Message, ...]]:
    return [(user("a"),), LATER]


def test_credentials_tell_callers_apart(client: Client) -> None:
    """Without projects, by the credentials of the upstream; a session's long name outlives a token
    that is renewed.
    """
    for name in ("authorization", "x-api-key"):
        begun = client.chat(user("a"), headers={name: "one"})
        assert client.chat(*LATER, headers={name: "two"}) != begun
        assert client.chat(*LATER, headers={name: "one"}) == begun

    sessions = {
        client.chat(user(key), headers={"authorization": key, "x-session-id": name})
        for name in (SESSION, "7") for key in ("one", "two")
    }  # fmt: skip
    assert len(sessions) == 3
    assert respond(client, 1, None, headers={"x-api-key": "1"}) != respond(
        client, 2, "resp_1", headers={"x-api-key": "2"}
    )


def test_calls_without_messages_belong_to_none(client: Client) -> None:
    """Embeddings and the like; in a session they are part of it."""
    body = {"model": "m", "input": ["a"]}
    answer = {"object": "list", "data": [], "usage": {"prompt_tokens": 1}}
    assert client.call(body, path="/v1/embeddings", answer=answer).conversation is None
    headers = {"x-session-id": SESSION}
    embedded = client.call(body, path="/v1/embeddings", answer=answer, headers=headers).conversation
    assert embedded == client.chat(user("a"), headers=headers)


def test_a_history_longer_than_the_window(client: Client) -> None:
    """What is seen of it tells: calls whose history is cut are found by the messages before the
    cut.
    """
    history = [user("do it")]
    met = []
    for turn in range(30):
        met.append(client.chat(*history, windows=(4096, 512)))
        history += [model("x" * 300), user(f"go on {turn}")]
    assert len(set(met)) == 1


def test_a_call_is_remembered_over_a_restart(client: Client) -> None:
    """What a record keeps is enough to continue it, by its history or by its response."""
    records = [client.call({"messages": [user("a")]}), client.call({"messages": [user("a")]})]
    records.append(client.call({"messages": [*LATER]}))
    answered = client.call({"input": "x"}, path="/v1/responses", answer=responded("resp_1"))
    again = Client()
    again.builder.recall_conversations([*records, answered])
    longer = (*LATER, model("d"), user("e"))
    assert again.chat(*longer) == records[0].conversation
    assert again.chat(user("a"), model("other"), user("c")) == records[1].conversation
    assert respond(again, 2, "resp_1") == answered.conversation


def test_texts_that_are_not_kept_leave_no_hashes(client: Client) -> None:
    """At the level `usage` the conversation is told, and nothing that tells whether a text was
    guessed right.
    """
    record = client.call({"messages": [user("a")]}, flags=FLAG_BODIES_OFF)
    assert (record.conversation, record.marks) == (record.id, None)
    assert client.chat(*LATER, flags=FLAG_BODIES_OFF) == record.conversation


def test_what_is_remembered_is_bounded() -> None:
    """What was not used for long goes first, and is counted."""
    conversations = Conversations(max_marks=2)
    client = Client()
    client.builder._merger.conversations = conversations
    first = client.chat(user("0"))
    for number in range(1, 4):
        client.chat(user(str(number)))
    assert (conversations.evictions, 0) == client.builder.call_evictions[:2] == (2, 0)
    assert client.chat(user("0"), model("b"), user("c")) != first


def test_an_interrupted_call_is_tried_again(client: Client) -> None:
    """A call that its client gave up is another try's first one."""
    given_up = client.chat(user("a"), outcome=Outcome.CLIENT_CLOSED, answer="")
    assert client.chat(user("a")) == given_up
