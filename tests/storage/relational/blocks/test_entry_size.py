"""The size of entries in memory."""

import pytest

from storage.record import Entry, Payload, ToolCall
from storage.relational.blocks.portions import data_bytes
from tests.storage.samples import make_body, make_empty_record

EMPTY = make_empty_record()


def call_of(
    arguments: bytes = b"", result: bytes = b"", error: bytes = b"", search: str = ""
) -> ToolCall:
    """Return a call of a tool with these texts."""
    return ToolCall(
        record_id=bytes(16), started_at_us=1, created_at_us=1, tool_name="t", server_label="s", status="success",
        arguments=arguments, result=result, error_details=error, search=search,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "size"),
    [
        (Entry(EMPTY), 0),
        (Entry(make_empty_record(data=b"d" * 1000)), 1000),
        (Entry(make_empty_record(path="/" + "p" * 999, query="q" * 10, user_agent="u" * 5)), 1015),
        (Entry(EMPTY, Payload(b"h" * 100, b"g" * 50, None, None)), 150),
        (
            Entry(EMPTY, Payload(b"", b"", make_body(b"a" * 700, b"z" * 70), make_body(b"b" * 7))),
            777,
        ),
        (
            Entry(
                EMPTY,
                None,
                [call_of(b"a" * 90, search="s" * 9), call_of(result=b"r", error=b"e" * 30)],
            ),
            130,
        ),
    ],
    ids=["nothing", "message", "request line", "heads", "bodies", "tool calls"],
)
def test_what_is_long_counts(entry: Entry, size: int) -> None:
    """Each byte of a text counts once."""
    assert data_bytes(entry) == size
