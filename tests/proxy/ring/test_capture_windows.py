"""Which exchanges get the windows of calls: by path, by media type, never more than a ring takes."""

from proxy.ring.capture_windows import (
    CALL_TAIL_BYTES,
    MAX_MEMO_LINES,
    SESSION_MESSAGE_BYTES,
    CaptureWindows,
    Windows,
)
from proxy.settings.model import GIB, MIB, CaptureSettings
from tests.support.cases import each_of

CAPTURE = CaptureSettings()
PLAIN = Windows(65536, 65536, 16384, 16384)
CALL = Windows(MIB, MIB, CALL_TAIL_BYTES, CALL_TAIL_BYTES)


def windows(
    level: str = "body", provider: str = "auto", ring_bytes: int = 64 * MIB
) -> CaptureWindows:
    return CaptureWindows(CAPTURE, ring_bytes, level, provider)  # type: ignore[arg-type]


def head(target: str, method: str = "POST") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


@each_of(
    "target",
    [
        "/v1/chat/completions", "/chat/completions?x=1", "/backend-api/codex/responses", "/v1/messages", "/api/chat",
        "/v1beta/models/g:streamGenerateContent?alt=sse", "/v1internal:streamGenerateContent", "/mcp", "/x/mcp/",
        "/model/anthropic.claude/converse-stream", "/publishers/anthropic/models/c:streamRawPredict", "/v2/rerank",
        "/completion", "/infill", "/v1beta/interactions", "/v1/ocr", "/v1/decisions", "/v1/conversations",
        "/v1/conversations/conv_1", "/v1/conversations/conv_1/restart",
    ],
)  # fmt: skip
def test_calls_get_the_larger_windows(target: str) -> None:
    """By the end of the path, whatever is before it."""
    for level in ("body", "headers", "usage"):
        assert windows(level).of(head(target)) == CALL


@each_of(
    "target",
    [
        "/v1/responses/resp_1?stream=true", "/v1/batches/batch_1", "/v1/messages/batches/m/results",
        "/v1/videos/video_1", "/v1/files/file-1/content", "/download/v1beta/files/f:download?alt=media",
        "/v1beta/models/v/operations/o",
    ],
)  # fmt: skip
def test_what_shows_the_result_of_a_call_gets_them_too(target: str) -> None:
    """It is asked for with GET."""
    for level in ("body", "headers", "usage"):
        assert windows(level).of(head(target, "GET")) == CALL
    assert windows().of_response(head(target, "GET"), is_event_stream=True) == CALL


@each_of(
    "raw",
    [
        head("/items"),
        head("/v1/messages/1"),
        head("/v1/messages", "GET"),
        head("/completions/5"),
        b"",
        b"POST ",
    ],
)
def test_others_do_not(raw: bytes) -> None:
    """Other paths, other methods, and what is no request at all."""
    found = windows()
    assert found.of(raw) == PLAIN
    assert windows("headers").of(raw) == Windows(0, 0, 0, 0)


def test_events_in_answer_to_a_post_are_a_call() -> None:
    """An `EventSource` sends GET: its streams are long, many, and no calls."""
    assert windows().of_response(head("/x"), is_event_stream=True) == CALL
    assert windows().of_response(head("/x"), is_event_stream=False) == PLAIN
    assert windows().of_response(head("/x", "GET"), is_event_stream=True) == PLAIN


def test_levels_and_providers() -> None:
    """Below `usage` nothing is read; a route that names a provider is all calls, one that names
    none has none.
    """
    for level in ("none", "meta"):
        assert windows(level).of(head("/v1/messages")) == Windows(0, 0, 0, 0)
    assert windows(provider="none").of(head("/v1/messages")) == PLAIN
    assert windows(provider="mcp").of(head("/x", "GET")) == CALL
    small = windows(ring_bytes=MIB).of(head("/v1/messages"))
    assert sum(small) <= MIB // 2
    assert windows(ring_bytes=GIB).of(head("/v1/messages")) == CALL


def test_of_the_end_no_more_is_kept_than_of_the_beginning() -> None:
    """A direction of which nothing is to be kept has no end either."""
    capture = CaptureSettings(request_body_bytes=0, response_body_bytes=100)
    assert CaptureWindows(capture, MIB, "body", "none").plain == Windows(0, 100, 0, 100)


def test_responses_are_paced_where_calls_are_read() -> None:
    """Also on a route that names its provider, whose windows are all the same."""
    for provider in ("auto", "ollama"):
        found = windows(provider=provider)
        assert found.of_response(head("/api/chat"), is_event_stream=False) is found.paced
    assert windows().of_response(head("/x"), is_event_stream=False) is not windows().paced
    assert windows(provider="none").paced is windows("meta").paced is None


def test_the_memo_is_bounded() -> None:
    """Targets may differ without end."""
    found = windows()
    for number in range(3 * MAX_MEMO_LINES):
        found.of(head(f"/items/{number}"))
    assert len(found._is_call) <= MAX_MEMO_LINES
    found.of(head("/" + "x" * 5000))
    assert all(len(line) < 5000 for line in found._is_call)


@each_of(
    "target",
    [
        "/v1/realtime?model=gpt-realtime", "/openai/realtime?deployment=x", "/v1/responses",
        "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?key=k",
        "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent",
    ],
)  # fmt: skip
def test_messages_of_sessions_with_models_are_copied_whole(target: str) -> None:
    """As far as a ring takes them; not where a level, or a route, reads no calls."""
    for level in ("body", "headers", "usage"):
        assert windows(level).session_bytes(head(target, "GET")) == SESSION_MESSAGE_BYTES
    assert windows(ring_bytes=MIB).session_bytes(head(target, "GET")) == MIB // 64
    assert windows("meta").session_bytes(head(target, "GET")) == 0
    assert windows(provider="none").session_bytes(head(target, "GET")) == 0
    assert windows().session_bytes(head("/socket", "GET")) == 0
