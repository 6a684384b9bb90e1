"""A refused record is changed into one that every store takes."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.record import Batch, Body, Entry, Payload, Stream, ToolCall
from storage.writer.quarantine import escape, escape_text
from tests.storage.samples import make_full_record, make_payload, make_record
from tests.support.memory_store import MemoryStorage


def unescape(text: str) -> str:
    """Undo `escape_text`, for text that it changed."""
    return re.sub(
        r"\\(\\|u[0-9a-f]{4})",
        lambda match: "\\" if match[1] == "\\" else chr(int(match[1][1:], 16)),
        text,
    )


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("", ""),
        ("plain \\u0000 é \U0001f600", "plain \\u0000 é \U0001f600"),
        ("a\0b", "a\\u0000b"),
        ("a\\\udc80", "a\\\\\\udc80"),
    ],
)
def test_only_text_that_needs_it_is_escaped(text: str, escaped: str) -> None:
    """Text that stores hold is left alone; in other text NUL, surrogates and backslashes are
    escaped.
    """
    assert escape_text(text) == escaped


_any_text = st.text(st.one_of(st.characters(), st.sampled_from("\0\ud800\udfff\\u")))


@given(_any_text, st.sampled_from("\0\ud800\udc80\udfff"), _any_text)
def test_escaping_can_be_undone(before: str, bad: str, after: str) -> None:
    """Escaped text is storable and leads back to the original."""
    text = before + bad + after
    escaped = escape_text(text)
    assert "\0" not in escaped
    escaped.encode()
    assert unescape(escaped) == text


def test_a_storable_record_keeps_its_values() -> None:
    """What is not at fault stays, only the pace of a stream and the bodies are left out."""
    record = make_full_record()
    payload = make_payload()
    escaped = escape(Entry(record, payload))
    assert escaped.record == msgspec.structs.replace(record, stream=None)
    assert escaped.payload is not None
    assert escaped.payload.request_head == payload.request_head
    assert payload.response_body is not None
    assert escaped.payload.response_body == Body(
        b"", b"", payload.response_body.size, True, None, "poison"
    )


async def test_a_record_that_is_wrong_everywhere_becomes_storable() -> None:
    """Bad text, numbers, words and bodies at once end up in the store, under the record's id."""
    record = make_full_record(
        path="\ud800",
        level="fatal",
        shed="all",
        duration_us=1 << 64,
        request_bytes=-(1 << 64),
        status=1 << 63,
        input_tokens=1 << 63,
        cost_usd=float("nan"),
        stream=Stream(1 << 64, 1 << 64, None, False),
        redactions={"\udc80": 1 << 64, "github-token": 1},
    )
    payload = Payload(
        b"head", b"", Body(b"", b"", 1 << 64, False, "\udc00", None), None, [(1 << 64, 0)]
    )
    escaped = escape(Entry(record, payload))
    async with MemoryStorage() as store:
        await store.commit(Batch("sidecar-1", [escaped]))
        found = await store.get(record.id)
    assert found is not None
    assert (found.path, found.level, found.status, found.input_tokens) == (
        "\\ud800",
        "error",
        None,
        None,
    )
    assert (found.duration_us, found.request_bytes, found.cost_usd) == (
        (1 << 63) - 1,
        -(1 << 63) + 1,
        None,
    )
    assert found.redactions == {"\ufffd": (1 << 63) - 1, "github-token": 1}


def test_a_record_without_a_payload_has_none() -> None:
    """Nothing is made up."""
    assert escape(Entry(make_record())).payload is None
    escaped = escape(Entry(make_record(), Payload(b"", b"", None, None)))
    assert escaped.payload == Payload(b"", b"", None, None)


async def test_tool_calls_of_a_poison_record_are_kept() -> None:
    """Without arguments and results, under names and numbers that every store takes."""
    record = make_full_record(path="\ud800")
    call = ToolCall(
        record_id=record.id, started_at_us=1 << 70, created_at_us=1, tool_name="a\0b\udc00", server_label="s",
        status="error", cost_usd=float("inf"), arguments=b"{}", search="x",
    )  # fmt: skip
    escaped = escape(Entry(record, None, [call]))
    async with MemoryStorage() as store:
        await store.commit(Batch("sidecar-1", [escaped]))
        (kept,) = await store.tool_calls_of(1)
    assert (kept.tool_name, kept.arguments, kept.search, kept.cost_usd) == (
        "a\\u0000b\\udc00",
        None,
        "",
        0.0,
    )
    assert kept.started_at_us == (1 << 63) - 1
