"""The calls of a conversation, each with what it says that was not said before."""

import json
from typing import Any

from api.native.chat.turns import Piece, Turns
from storage.record import Body, Record
from tests.api.samples import make_body, make_payload, make_record

SYSTEM = {"role": "system", "content": "be kind"}
Said = list[dict[str, Any]]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def call(number: int, **changes: Any) -> Record:
    return make_record(number, **({"provider": "openai", "model": "gpt-4o"} | changes))


class Run:
    """A run whose requests and answers are given as messages."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.count = 0

    def say(self, said: Said, answer: str | None = None, **changes: Any) -> list[Piece]:
        """Return what is new in a call."""
        self.count += 1
        body = (
            None
            if answer is None
            else make_body(json.dumps({"choices": [{"message": assistant(answer)}]}).encode())
        )
        sent = make_body(json.dumps({"messages": said}).encode())
        return self.turns.read(call(self.count, **changes), make_payload(sent, body)).pieces


def test_a_call_says_what_none_before_it_said() -> None:
    """Clients send the whole history; what the model answered is shown with the call that it
    answers.
    """
    run = Run()
    said = [SYSTEM, user("one")]
    assert run.say(said, "first") == [
        Piece("instructions", "be kind"),
        Piece("user", "one"),
        Piece("assistant", "first"),
    ]
    said += [assistant("first, as the client writes it"), user("two")]
    assert run.say(said, "second") == [Piece("user", "two"), Piece("assistant", "second")]
    assert run.say([*said, assistant("second"), user("one")], "third") == [
        Piece("user", "one"), Piece("assistant", "third")
    ]  # fmt: skip


def test_an_answer_that_cannot_be_read_is_shown_by_the_next_request() -> None:
    """So nothing of the conversation is missing."""
    run = Run()
    assert run.say([user("one")]) == [Piece("user", "one")]
    assert run.say([user("one"), assistant("first"), user("two")], "second") == [
        Piece("assistant", "first"), Piece("user", "two"), Piece("assistant", "second")
    ]  # fmt: skip


def test_what_an_agent_asks_beside_its_work_changes_nothing() -> None:
    """Each call goes on where the one left off whose beginning it shares."""
    run = Run()
    work = [user("one")]
    run.say(work, "first")
    assert run.say([user("Name this: one")], "A name") == [
        Piece("user", "Name this: one"),
        Piece("assistant", "A name"),
    ]
    assert run.say([*work, assistant("first"), user("two")], "second")[0] == Piece("user", "two")


def test_messages_behind_a_cut_are_shown_once() -> None:
    """Of a request that was cut its last messages tell, as far as they are not known."""
    turns = Turns()
    said = [user(f"{number} {'x' * 50}") for number in range(12)]
    shown: list[str] = []

    for length in range(6, 13, 2):
        raw = json.dumps({"messages": said[:length]}).encode()
        payload = make_payload(Body(raw[:100], raw[-300:], len(raw), True, None, None), None)
        shown += [piece.text for piece in turns.read(call(length), payload).pieces]

    assert shown[-6:] == [message["content"] for message in said[6:]]


def test_the_same_words_again_are_said_again_unless_the_call_had_failed() -> None:
    """A request has nothing else where the provider has the history; one that was not answered is
    tried again.
    """
    run = Run()
    assert run.say([user("go on")], "first")[0] == Piece("user", "go on")
    assert run.say([user("go on")], "second")[0] == Piece("user", "go on")
    run = Run()
    run.say([user("go on")], status=529)
    assert run.say([user("go on")], "first") == [Piece("assistant", "first")]


def test_instructions_are_shown_when_they_change() -> None:
    """They are long, and stand in every request."""
    run = Run()
    long = {"role": "system", "content": "word " * 500}
    [first, *_] = run.say([long, user("one")], "first")
    assert first.label == "instructions"
    assert first.text.endswith("(2,500 characters)")
    assert run.say([SYSTEM, user("one"), user("two")], "x")[0] == Piece("instructions", "be kind")


def test_results_have_the_name_of_their_tool_and_failures_are_marked() -> None:
    """A result names the id of its call, which may be in an earlier request."""
    turns = Turns()
    use = {"type": "tool_use", "id": "t1", "name": "read", "input": {"path": "a"}}
    answer = make_body(json.dumps({"content": [use]}).encode())
    first = turns.read(
        call(1), make_payload(make_body(json.dumps({"messages": [user("hi")]}).encode()), answer)
    )
    assert first.pieces[-1] == Piece("call read", '{"path":"a"}')
    result = {
        "type": "tool_result",
        "tool_use_id": "t1",
        "content": "no such file",
        "is_error": True,
    }
    said = [
        user("hi"),
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    second = turns.read(
        call(2), make_payload(make_body(json.dumps({"messages": said}).encode()), None)
    )
    assert second.pieces == [Piece("result read FAILED", "no such file", has_failed=True)]


def test_a_call_without_its_bodies_has_its_head_and_its_error() -> None:
    """What was not kept is not invented."""
    record = call(
        1,
        status=529,
        error_type="overloaded_error",
        input_tokens=1200,
        data=b'{"error_message": "busy"}',
    )
    turn = Turns().read(record, None)
    assert turn.pieces == [Piece("error", "busy", has_failed=True)]
    assert turn.head.split(" · ")[1:6] == [
        "gpt-4o",
        "529",
        "overloaded_error",
        "0.1 s",
        "1,200 tokens in, 0 out",
    ]
