"""Tokens of text and realtime sessions are content; the same names elsewhere are secrets, and so is
what is inside.
"""

import json
from typing import Any

from proxy.enrich.redact.edits import MARK
from proxy.enrich.redact.naming.values import content_end
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

REDACTOR = Redactor()


def redacted(document: object, kind: bytes = b"application/json") -> bytes:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return REDACTOR.redact_body(raw, b"", kind, False)[0]


TOP = [{"token": "Hi", "logprob": -1.5, "bytes": [72, 105]}]
LOGPROBS: list[Any] = [
    # https://platform.openai.com/docs/api-reference/chat/object: choices[].logprobs.content[]
    {"token": "Hello", "logprob": -0.31725305, "bytes": [72, 101], "top_logprobs": TOP},
    {"token": '\\n"', "bytes": None, "logprob": 0},  # of a response's output_text
    {"id": 5, "token": " the", "bytes": [32], "logprob": -0.1},  # llama-server
    # Https://ai.google.dev/api/generate-content#Candidate_1.
    {"token": "a", "tokenId": 7, "logProbability": -0.25},
]


@each_of("part", LOGPROBS)
def test_text_tokens_are_kept(part: dict[str, Any]) -> None:
    """With their log probability beside them, in answers and in streams, in any number."""
    answer = {"choices": [{"logprobs": {"content": [part] * 700}}], "access_token": "S"}
    assert redacted(answer) == json.dumps(answer).encode().replace(b'"S"', b'"%b"' % MARK)
    frames = b"".join(b"data: %b\n\n" % json.dumps(part).encode() for _ in range(3))
    assert redacted(frames, b"text/event-stream") == frames


@each_of(
    "document",
    [
        {"token": "S3CRET"},
        {"token": "S3CRET", "expires": 5},
        {"token": "S3CRET", "logprobs": -1},
        {"token": "S3CRET", "logprob": "x"},
        {"logprob": -1, "token": "S3CRET"},
        {"token": "S3CRET" * 40, "logprob": -1},
        {"token": {"value": "S3CRET"}, "logprob": -1},
        {"access_token": "S3CRET", "logprob": -1},
        {"token": "sk-proj-S3CRET" + "a1B2" * 12, "logprob": -1},
        {"session": "S3CRET", "turn_detection": None},
        {"session": {"id": "S3CRET", "user": 5}},
        {"session": ["S3CRET"], "modalities": ["text"]},
        {
            "type": "session.update",
            "session": {"modalities": ["text"], "client_secret": {"value": "S3CRET"}},
        },
        {"session": {"type": "realtime", "password": "S3CRET", "token": "S3CRET"}},
    ],
)
def test_what_differs_stays_a_secret(document: dict[str, Any]) -> None:
    """A name alone is a credential, and so is whatever has another shape."""
    assert b"S3CRET" not in redacted(document)


def test_realtime_sessions_are_kept() -> None:
    """The configuration of a session is what the record is read for."""
    # https://platform.openai.com/docs/api-reference/realtime-server-events/session/created
    session = {
        "id": "sess_1", "object": "realtime.session", "model": "gpt-4o-realtime", "modalities": ["text", "audio"],
        "instructions": "be brief", "voice": "alloy", "turn_detection": {"type": "server_vad"}, "client_secret": None,
    }  # fmt: skip
    event = {"type": "session.created", "event_id": "event_1", "session": session}
    assert redacted(event) == json.dumps(event).encode()


@each_of("cut", range(1, 60))
def test_a_cut_within_a_token_shows_nothing_of_it(cut: int) -> None:
    """What comes behind the cut cannot be known."""
    raw = b'{"a":[{"token":"S3CRET","logprob":-1.5}]}'[:cut]
    shown = REDACTOR.redact_body(raw, b"", b"application/json", True)[0]
    assert b"S3C" not in shown or b'"logprob":-1' in raw


def test_hostile_keys() -> None:
    """Nothing is slow, nothing raises."""
    assert content_end(b'{"token":"' + b"\\" * 100_000, b'"token":', 9) == -1
    assert content_end(b"", b'"session":', 0) == -1
    assert content_end(b"{" * 100_000, b'"session":', 0) == -1


def test_sessions_of_any_number_stay() -> None:
    """Each is searched for its members."""
    sessions = b'{"session": {"modalities": ["text"], "id": 1}}' * 2000
    assert redacted(sessions) == sessions


SIGNATURE = "EqQB" + "Zq9xWv7/uTs5+rQp" * 20 + "=="
THOUGHT = 'I think "so" \\ and "thinking" it is.\n' * 30


@each_of(
    "block",
    [
        {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE},
        {"type": "thinking", "thinking": "", "signature": ""},
        {"signature": SIGNATURE, "thinking": THOUGHT, "type": "thinking"},
        {"signature": SIGNATURE, "type": "thinking", "thinking": THOUGHT},
        {
            "type": "content_block_delta",
            "delta": {"type": "signature_delta", "signature": SIGNATURE},
        },
        {"type": "redacted_thinking", "data": SIGNATURE},
        {"reasoningContent": {"reasoningText": {"text": THOUGHT, "signature": SIGNATURE}}},
        {"contentBlockDelta": {"delta": {"reasoningContent": {"signature": SIGNATURE}}}},
        {
            "reasoning_details": [
                {"type": "reasoning.text", "text": THOUGHT, "signature": SIGNATURE}
            ]
        },
        {"functionCall": {"name": "f"}, "thoughtSignature": SIGNATURE},
    ],
)
def test_signatures_of_thoughts_stay(block: dict[str, object]) -> None:
    """Without them no call can be made again: in requests, answers and streams."""
    for separators in ((",", ":"), (", ", ": ")):
        text = json.dumps(block, separators=separators).encode()
        body = b'{"messages":[{"role":"assistant","content":[%b]}]}' % text
        assert redacted(body) == body
        stream = b"event: x\ndata: %b\n\n" % text * 2
        assert REDACTOR.redact_body(stream, b"", b"text/event-stream", False)[0] == stream


@each_of(
    "block",
    [
        {"signature": SIGNATURE},
        {"type": "text", "text": "thinking", "signature": SIGNATURE},
        {"thinking": "x", "a": {"signature": SIGNATURE}},
        {"type": "thinking", "thinking": "x", "signature": "hunter2 is no base64"},
        {
            "type": "thinking",
            "thinking": "x",
            "signature": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        },
        {"type": "thinking", "thinking": "x", "token": SIGNATURE},
    ],
)
def test_other_signatures_are_secrets(block: dict[str, object]) -> None:
    """And so is what has the form of a key."""
    assert b"[REDACTED]" in redacted(json.dumps(block).encode())
