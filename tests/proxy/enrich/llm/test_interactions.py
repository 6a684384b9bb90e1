"""Calls of Gemini's interactions: documents of steps, events of a stream, tools, tiers, failures."""

from typing import Any

import pytest

from tests.proxy.enrich.calls import facts_of, record_of

ASKED = {"model": "gemini-3.8-flash", "input": "hi"}
USAGE = {
    "total_tokens": 359, "total_input_tokens": 11, "total_output_tokens": 90, "total_thought_tokens": 245,
    "total_cached_tokens": 4, "total_tool_use_tokens": 13,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 5}, {"modality": "audio", "tokens": 6}],
}  # fmt: skip
FACTS = ("gemini", "gemini-3.8-flash", "gemini-3.8-flash", 24, 335, 4, None, 245)


def interaction(status: str = "completed", **more: Any) -> dict[str, Any]:
    """An interaction as it is answered."""
    return {
        "id": "v1_abc", "object": "interaction", "status": status, "model": "gemini-3.8-flash",
        "service_tier": "standard",
    } | more  # fmt: skip


def events(*documents: dict[str, Any], is_done: bool = True) -> list[dict[str, Any] | str]:
    """The events of a stream, which begins with the interaction."""
    begun = {"interaction": interaction("in_progress"), "event_type": "interaction.created"}
    return [begun, *documents, *(["[DONE]"] if is_done else [])]


def stream(*documents: dict[str, Any] | str) -> bytes:
    """Write events as Google does, each with the name of its type."""
    import json

    return b"".join(
        b"event: %b\ndata: %b\n\n"
        % (
            (b"done", one.encode())
            if isinstance(one, str)
            else (one["event_type"].encode(), json.dumps(one).encode())
        )
        for one in documents
    )


SAID = [
    {"index": 0, "step": {"type": "thought"}, "event_type": "step.start"},
    {
        "index": 0,
        "delta": {"type": "thought_signature", "signature": "x"},
        "event_type": "step.delta",
    },
    {"index": 1, "step": {"type": "model_output"}, "event_type": "step.start"},
    *[
        {
            "index": 1,
            "delta": {"type": "text", "text": 'the "usage" of words '},
            "event_type": "step.delta",
        }
    ]
    * 30,
    {"index": 1, "event_type": "step.stop"},
]
COMPLETED = {"interaction": interaction(usage=USAGE), "event_type": "interaction.completed"}


@pytest.mark.parametrize("windows", [(65536, 16384), (900, 700), (900, 500)])
def test_a_stream(windows: tuple[int, int]) -> None:
    """The last event has the counts, also where the middle, or the beginning of that event, was not
    kept.
    """
    answer = stream(*events(*SAID, COMPLETED))
    record = record_of(
        "/v1beta/interactions", ASKED, answer, content_type="text/event-stream", windows=windows
    )
    assert facts_of(record) == FACTS
    assert record.usage_state == "exact"
    assert record.stream is not None
    assert (record.stream.end, record.stream.finish_reason) == ("complete", "completed")


def test_what_ends_early_and_what_fails() -> None:
    """A stream that stops has no counts; a failure is named by what it is called, in an event and
    in the document.
    """
    cut = stream(*events(*SAID, is_done=False))
    record = record_of("/v1beta/interactions", ASKED, cut, content_type="text/event-stream")
    assert (record.usage_state, record.stream and record.stream.end) == ("absent", "cut")
    assert (record.error_type, record.level) == ("stream_cut", "error")
    error = {"event_type": "error", "error": {"code": "deadline_exceeded", "message": "too long"}}
    record = record_of(
        "/v1beta/interactions", ASKED, stream(*events(error)), content_type="text/event-stream"
    )
    assert (record.error_type, record.level) == ("deadline_exceeded", "error")
    failed = interaction("failed", errors=[{"code": "internal", "message": "sorry"}])
    assert record_of("/v1beta/interactions", ASKED, failed).error_type == "internal"
    assert record_of("/v1beta/interactions", ASKED, interaction("failed")).error_type == "failed"
    refused = {"error": {"code": "invalid_request", "message": "no such model"}}
    record = record_of("/v1beta/interactions", ASKED, refused, status=400)
    assert (record.provider, record.error_type) == ("gemini", "invalid_request")
