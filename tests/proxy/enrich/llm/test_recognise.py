"""What is a call, and of which model. Which paths and bodies are one, and that no application's own
API is taken for one, stands in tests/fixtures/llm/recognised.jsonl.
"""

from typing import Any

from proxy.enrich.llm.recognise import _SUFFIXES, PROVIDERS, candidate_of
from proxy.ring.capture_windows import CaptureWindows
from tests.proxy.enrich.calls import chat_of, facts_of, record_of, sse
from tests.support.cases import each_of


def test_the_model_is_that_of_the_call() -> None:
    """The model is never read from a tool's argument or a message, wherever the windows end."""
    schema = {"properties": {"model": {"enum": ["haiku"]}}}
    tool = {"name": "agent", "input_schema": schema, "defaults": {"model": "haiku"}}
    body = {
        "tools": [tool] * 40,
        "messages": [{"content": "x" * 9000}],
        "max_tokens": 5,
        "model": "opus",
    }
    answer = {
        "type": "message",
        "model": "opus-1",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    for windows in ((1000, 500), (6000, 20), (100_000, 0)):
        record = record_of("/v1/messages", body, answer, windows=windows)
        assert record.model == "opus"
    record = record_of("/v1/messages", body, answer, windows=(1000, 5))
    assert record.model == "opus-1"


def test_the_model_of_a_multipart_request() -> None:
    """Transcriptions and image edits name it in a part:
    https://platform.openai.com/docs/api-reference/audio.
    """
    part = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    body = part % (b"file", b"RIFF" * 5000) + part % (b"model", b"gpt-4o-transcribe") + b"--x--\r\n"
    usage = {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"audio_tokens": 14},
        "output_tokens": 45,
    }
    record = record_of(
        "/v1/audio/transcriptions", body, {"text": "hello", "usage": usage}, windows=(4000, 1000),
        request_headers="Content-Type: multipart/form-data; boundary=x\r\n",
    )  # fmt: skip
    assert facts_of(record)[:5] == ("openai", "gpt-4o-transcribe", None, 14, 45)
    assert record.stream is not None
    assert record.stream.meters == {"input_audio_tokens": 14}


def test_routes_and_methods() -> None:
    """A setting names the provider, `none` and `mcp` none; only POST calls."""
    assert candidate_of("anthropic", "POST", "/x") is PROVIDERS["anthropic"]
    for setting, method in (("none", "POST"), ("mcp", "POST"), ("auto", "GET"), ("openai", "PUT")):
        assert candidate_of(setting, method, "/v1/chat/completions") is None


def test_a_stream_of_another_api_on_such_a_route_ends_as_it_ended() -> None:
    """OpenAI's events on a route to Ollama."""
    end = {"model": "m", "choices": [{"finish_reason": "stop"}], "usage": {"prompt_tokens": 7}}
    answer = sse({"model": "m", "choices": [{"delta": {"content": "a"}}]}, end, "[DONE]")
    more: dict[str, Any] = {"route": {"provider": "ollama"}, "content_type": "text/event-stream"}
    record = chat_of(answer, **more)
    assert record.stream is not None
    assert (record.input_tokens, record.stream.end, record.error_type) == (7, "complete", None)


@each_of("end", [end for end in _SUFFIXES if end.startswith("/") and end != "/restart"])
def test_a_path_that_is_read_as_a_call_is_captured_as_one(end: str) -> None:
    """A coded response can be read only where all of it was copied."""
    assert CaptureWindows.is_call(b"POST /v1%b HTTP/1.1\r\n" % end.encode())
    assert CaptureWindows.is_call(b"POST /v1/conversations/c/restart HTTP/1.1\r\n")
