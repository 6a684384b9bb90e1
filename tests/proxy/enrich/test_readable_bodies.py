"""Bodies whose headers are untrue, or whose charset is another: what they say is in the record all
the same.
"""

import gzip
import json

import pytest

from storage.record import Body, Entry
from tests.proxy.enrich.calls import CHAT, CHAT_ANSWER, CHAT_USAGE, chunk, sse
from tests.proxy.enrich.exchanges import entry_of
from tests.proxy.enrich.mcp.mcp_world import World, answer, ask, events, only
from tests.support.cases import each_of

MARK = b"\xef\xbb\xbf"
STREAM = sse(
    chunk("gre"), chunk("en"), chunk(None, "stop"), {"choices": [], "usage": CHAT_USAGE}, "[DONE]"
)
LINES = b"".join(
    json.dumps(part).encode() + b"\n"
    for part in (
        {"model": "m", "message": {"content": "a"}, "done": False},
        {
            "model": "m",
            "message": {"content": ""},
            "done": True,
            "prompt_eval_count": 19,
            "eval_count": 10,
        },
    )
)


def response_body(entry: Entry) -> Body:
    """What is stored of the response."""
    assert entry.payload is not None
    assert entry.payload.response_body is not None
    return entry.payload.response_body


@each_of(
    "coding", ["gzip", "br", "deflate", "zstd", "snappy", "gzip, gzip", "aws-chunked", "binary"]
)
@each_of("is_packed", [False, True])
def test_a_stream_under_an_untrue_coding_has_its_counts(coding: str, is_packed: bool) -> None:
    """Also where another coding was applied beside it."""
    reply = gzip.compress(STREAM) if is_packed else STREAM
    header = f"Content-Encoding: {coding}{', gzip' if is_packed else ''}\r\n"
    entry = entry_of(
        "/v1/chat/completions", CHAT, reply,
        content_type="text/event-stream", response_headers=header,
    )  # fmt: skip
    record = entry.record
    body = response_body(entry)
    assert (record.input_tokens, record.output_tokens, record.usage_state) == (19, 10, "exact")
    assert record.stream is not None
    assert (record.stream.finish_reason, record.stream.end) == ("stop", "complete")
    assert (body.head, body.truncated, body.coding) == (
        STREAM,
        False,
        "gzip" if is_packed else None,
    )
    assert body.coding_error == (
        None if coding == "binary" else f"{coding.partition(',')[0]}: {_reason(coding)}"
    )


def _reason(coding: str) -> str:
    return "unknown" if coding == "snappy" else "not coded"


def test_counts_behind_a_coding_that_is_unknown_are_lost() -> None:
    """Nothing can be read of them, so nothing is said."""
    entry = entry_of(
        "/v1/chat/completions",
        CHAT,
        bytes(99),
        response_headers="Content-Encoding: lz4\r\n",
    )
    assert entry.record.usage_state == "lost"
    assert (response_body(entry).head, response_body(entry).omitted) == (b"", "coding")


@each_of("content_type", ["application/json", "text/plain", "", "application/octet-stream"])
@each_of("before", [b"", MARK, b": ping\n\n", b"\n\n", b"id: 1\n", b"retry: 9\n\n", b"event: x\n"])
def test_event_streams_are_known_by_how_they_begin(content_type: str, before: bytes) -> None:
    """Whatever their type is; counts, reason, and one call of a tool."""
    body = CHAT
    record = entry_of(
        "/v1/chat/completions", body, before + STREAM, content_type=content_type
    ).record
    assert (record.input_tokens, record.output_tokens, record.usage_state) == (19, 10, "exact")
    assert record.stream is not None
    assert record.stream.frames == 5
    if not before.startswith((b"event", b"id")):
        call = only(World().pass_on(ask(), before + events(answer()), content_type=content_type))
        assert (call.status, json.loads(call.result or b"")["isError"]) == ("success", False)


def test_a_document_that_is_sent_as_an_event_stream_is_one() -> None:
    """As gateways send errors; a stream it is not."""
    record = entry_of(
        "/v1/chat/completions", CHAT, json.dumps(CHAT_ANSWER).encode(),
        content_type="text/event-stream",
    ).record  # fmt: skip
    assert (record.input_tokens, record.usage_state) == (19, "exact")


@each_of("before", [b"", MARK])
@each_of("content_type", ["application/json", "application/x-ndjson", "text/plain"])
def test_lines_of_json_are_known_by_how_they_begin(before: bytes, content_type: str) -> None:
    """Whatever their type is."""
    record = entry_of(
        "/api/chat", b'{"model": "m", "messages": []}', before + LINES, content_type=content_type
    ).record
    assert (record.input_tokens, record.output_tokens, record.stream and record.stream.frames) == (
        19,
        10,
        2,
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_byte_order_mark_or_wide_text_hides_no_call(encoding: str) -> None:
    """Counts of models, errors of GraphQL, calls of MCP."""
    chat, reply = (
        json.dumps(part).encode().decode().encode(encoding) for part in (CHAT, CHAT_ANSWER)
    )
    entry = entry_of("/v1/chat/completions", chat, reply)
    assert (entry.record.model, entry.record.input_tokens, entry.record.usage_state) == (
        "gpt-4o",
        19,
        "exact",
    )
    assert response_body(entry).head == json.dumps(CHAT_ANSWER).encode()
    failed = '{"data": null, "errors": [{"message": "no"}]}'.encode(encoding)
    assert (
        entry_of("/graphql", '{"query": "{a}"}'.encode(encoding), failed).record.error_type
        == "graphql_error"
    )
    call = only(
        World().pass_on(json.dumps(ask()).encode(encoding), json.dumps(answer()).encode(encoding))
    )
    assert (call.tool_name, call.status) == ("add", "success")


STRANGE = b'"logprobs":{"content":[{"token":"x","logprob":%b}]},'


@each_of(
    "value", [b"NaN", b"-Infinity", b"Infinity", b'"\\ud83d"', b"100000000000000000000", b"[NaN, -Infinity]"]
)  # fmt: skip
def test_strange_values_hide_no_call(value: bytes) -> None:
    """As Python, NumPy, vLLM and JavaScript write them: beside counts, results of tools and errors."""
    beside = STRANGE % value
    chat = CHAT

    def with_it(document: object) -> bytes:
        return b"{" + beside + json.dumps(document).encode()[1:]

    streamed = b"".join(
        b"data: " + with_it(each) + b"\n\n"
        for each in (chunk("hi"), chunk(None, "stop", usage=CHAT_USAGE))
    )
    for said, content_type in (
        (with_it(CHAT_ANSWER), "application/json"),
        (streamed + b"data: [DONE]\n\n", "text/event-stream"),
    ):
        call = entry_of("/v1/chat/completions", chat, said, content_type=content_type).record
        assert (call.resolved_model, call.input_tokens, call.output_tokens, call.usage_state) == (
            "gpt-4o-2024-08-06", 19, 10, "exact",
        )  # fmt: skip
        assert call.cost_usd

    asked = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{%b"a":1}}}'
    result = {"content": [{"type": "text", "text": "3"}]}
    reply = b'{"jsonrpc":"2.0","id":1,"result":%b}' % with_it(result)
    for said, content_type in (
        (reply, "application/json"),
        (b"event: message\ndata: " + reply + b"\n\n", "text/event-stream"),
    ):
        (tool,) = entry_of("/mcp", asked % beside, said, content_type=content_type).tool_calls
        assert (tool.status, tool.tool_name, tool.error_details) == ("success", "add", None)
        assert tool.result is not None
        assert json.loads(tool.result, parse_constant=pytest.fail)["content"] == result["content"]
        assert tool.arguments is not None
        assert json.loads(tool.arguments, parse_constant=pytest.fail)["a"] == 1

    failed = {"data": {"a": 1}, "errors": [{"message": "no a"}]}
    record = entry_of("/graphql", b'{"query":"{a}"}', with_it(failed)).record
    assert (record.error_type, record.level) == ("graphql_error", "error")
    record = entry_of("/x", b"{}", b'{"error":{"message":"broken","code":7,"n":%b}}' % value).record
    assert record.error_type == "error_response"
