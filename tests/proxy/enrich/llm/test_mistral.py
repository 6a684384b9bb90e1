"""Calls of Mistral: chat, transcriptions, documents, conversations."""

from typing import Any

import pytest

from tests.proxy.enrich.calls import CHAT, CHAT_ANSWER, named, record_of

FORM = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n'
OF_FORM: dict[str, Any] = {"request_headers": "Content-Type: multipart/form-data; boundary=b\r\n"}


def test_seconds_and_tier_of_mistral() -> None:
    """Both stand in its usage: https://docs.mistral.ai/capabilities/audio/"""
    used = {"prompt_tokens": 4, "completion_tokens": 5, "prompt_audio_seconds": 7, "service_tier": "priority"}
    record = record_of("/v1/chat/completions", CHAT, CHAT_ANSWER | {"usage": used})
    assert record.stream is not None
    assert (record.stream.meters, record.stream.service_tier) == ({"audio_seconds": 7}, "priority")


def test_a_transcription_of_mistral_is_complete() -> None:
    """Its stream ends with an event of its own."""
    usage = {"prompt_tokens": 4, "completion_tokens": 35, "total_tokens": 635, "prompt_audio_seconds": 65}
    answer = named(
        {"type": "transcription.text.delta", "text": "hi"},
        {"type": "transcription.done", "model": "voxtral-mini-2507", "text": "hi", "usage": usage},
    )
    record = record_of("/v1/audio/transcriptions", FORM, answer, content_type="text/event-stream", **OF_FORM)
    assert (record.input_tokens, record.usage_state) == (4, "exact")
    assert record.stream is not None
    assert record.stream.end == "complete"


def test_pages_that_mistral_has_read() -> None:
    """They are paid by the page: https://docs.mistral.ai/api/endpoint/ocr"""
    asked = {"model": "mistral-ocr-latest", "document": {"type": "document_url", "document_url": "https://a.test"}}
    answer = {"pages": [], "model": "mistral-ocr-2512", "usage_info": {"pages_processed": 3, "doc_size_bytes": 7}}
    record = record_of("/v1/ocr", asked, answer, upstream="api.mistral.ai:443")
    assert (record.provider, record.resolved_model, record.input_tokens) == ("mistral", "mistral-ocr-2512", None)
    assert record.stream is not None
    assert record.stream.meters == {"document_pages": 3}
    assert record.cost_usd == pytest.approx(3 * 0.002)
    assert record_of("/v1/ocr", {"image": 1}, answer).provider is None


@pytest.mark.parametrize("path", ["/v1/conversations", "/v1/conversations/conv_1", "/v1/conversations/conv_1/restart"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_conversation_of_mistral(path: str, *, is_stream: bool) -> None:
    """What its own tools found is input; a function that is called is a tool."""
    usage = {
        "prompt_tokens": 188, "completion_tokens": 55, "total_tokens": 7355, "connector_tokens": 7112,
        "connectors": {"web_search": 2},
    }  # fmt: skip
    made = {"type": "function.call", "tool_call_id": "1", "name": "weather", "arguments": "{}"}
    answer: object = {
        "object": "conversation.response", "conversation_id": "conv_1", "outputs": [made], "usage": usage
    }  # fmt: skip
    kind = "application/json"
    if is_stream:
        begun = {"type": "conversation.response.started", "conversation_id": "conv_1"}
        call = made | {"type": "function.call.delta"}
        answer = named(begun, call, {"type": "conversation.response.done", "usage": usage})
        kind = "text/event-stream"
    asked = {"model": "mistral-medium-latest", "inputs": "hi", "stream": is_stream}
    record = record_of(path, asked, answer, content_type=kind)
    assert (record.model, record.input_tokens, record.output_tokens) == ("mistral-medium-latest", 7300, 55)
    assert record.usage_state == "exact"
    assert record.stream is not None
    assert (record.stream.tools, record.stream.meters) == (["weather"], {"web_searches": 2})


def test_mistral_at_vertex() -> None:
    """It is Mistral's, at Google's."""
    path = "/v1/projects/p/locations/l/publishers/mistralai/models/codestral-2:rawPredict"
    record = record_of(path, CHAT, CHAT_ANSWER, upstream="us-central1-aiplatform.googleapis.com:443")
    assert record.provider == "mistral"
