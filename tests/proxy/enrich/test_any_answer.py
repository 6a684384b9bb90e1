"""Bodies of the right shape whose members are anything: none fails to be read, and a failure costs
no record.
"""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.readers.llm import Llm
from storage.record import Record
from tests.proxy.enrich.exchanges import Collector, exchange

PATHS = """
    /v1/chat/completions /v1/responses /v1/embeddings /v1/images/generations
    /v1/audio/transcriptions /v1/messages /v1beta/models/g:generateContent
    /v1beta/models/g:streamGenerateContent /v1beta/interactions /model/m/converse
    /model/m/invoke /model/m/invoke-with-response-stream /api/chat /api/generate /v2/chat
    /v1/rerank /completion /v1/batches /v1/videos /v1/responses/r1 /v1/batches/b1
    /v1/videos/v1 /v1/files/f1/content /v1beta/operations/o1 /v1/messages/batches/b1 /mcp
    /graphql
""".split()
NAMES = """
    type status object id model usage choices delta message content role error code
    finish_reason stop_reason input_tokens output_tokens prompt_tokens total_tokens candidates
    parts usageMetadata trafficType response item output bytes chunk metadata metrics done
    steps event_type interaction service_tier result jsonrpc method params name arguments
    errors request_counts completed results tool_calls function index custom_id body
    created_at
""".split()
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    10**30,
    "",
    "x",
    "\u00e9",
    "completed",
    "failed",
    "response.completed",
    "message_stop",
    "message_delta",
    "interaction.completed",
    "2.0",
    "tools/call",
    [],
    {},
    [[]],
    [{}],
    [None],
    {"a": {}},
    ["x", {}],
    [1],
)
members = st.recursive(
    st.sampled_from(VALUES),
    lambda inner: (
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=4) | st.lists(inner, max_size=2)
    ),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from(NAMES), members, min_size=1, max_size=6)


@pytest.fixture(scope="module")
def collector() -> Collector:
    """One for all: what one exchange leaves meets the next."""
    return Collector()


@given(
    path=st.sampled_from(PATHS),
    asked=documents,
    answered=st.lists(documents, min_size=1, max_size=3),
    method=st.sampled_from(("POST", "GET")),
    status=st.sampled_from((200, 202, 429, 500)),
)
def test_whatever_is_answered_can_be_read(
    collector: Collector, path: str, asked: Any, answered: list[Any], method: str, status: int
) -> None:
    """As one document and as a stream of them, of any API."""
    raw = [json.dumps(each).encode() for each in answered]
    bodies = (
        (raw[0], "application/json"),
        (b"".join(b"data: %b\n\n" % each for each in raw), "text/event-stream"),
    )
    readers = collector.builder._readers

    for body, kind in bodies:
        made = exchange(path, asked, body, method=method, status=status, content_type=kind)
        readers._reported_s = -1e9
        before = readers._reported_s
        entry = collector.read(made)
        assert readers._reported_s == before, (path, asked, answered)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(entry.record))


def test_what_cannot_be_read_costs_no_record(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The exchange is stored without what its call would have said; the log says where, once, and
    not what.
    """

    def fail(self: Llm, record: Record, read: DecodedExchange) -> None:
        raise ValueError("secret of a client")

    monkeypatch.setattr(Llm, "read", fail)
    collector = Collector()
    for _ in range(3):
        entry = collector.read(exchange(body=b"{}", answer=b'{"a": 1}'))
        assert (entry.record.path, entry.record.provider, entry.tool_calls) == (
            "/v1/chat/completions",
            None,
            [],
        )
        assert entry.payload is not None

    assert (
        caplog.text.count(
            "the calls of an exchange could not be read: ValueError at test_any_answer.py"
        )
        == 1
    )
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v1/chat/completions", {"type": {}}),
        ("/v1/batches/b1", {"object": "batch", "id": "b1", "status": {}}),
        ("/v1/videos/v1", {"object": "video", "id": "v1", "status": []}),
        ("/model/m/invoke-with-response-stream", {"bytes": "\u00e9"}),
        (
            "/v1beta/interactions",
            {"object": "interaction", "status": {}, "steps": [{"type": []}], "usage": {}},
        ),
    ],
)
def test_kinds_that_are_no_text(collector: Collector, path: str, answer: object) -> None:
    """Objects where a word is expected cannot be looked up."""
    readers = collector.builder._readers
    readers._reported_s = -1e9
    made = exchange(
        path,
        b'{"model": "m"}',
        answer,
        method="GET" if path[-2] in "bv" else "POST",
    )
    collector.read(made)
    assert readers._reported_s == -1e9
