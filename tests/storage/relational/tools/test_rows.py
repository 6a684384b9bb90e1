"""A tool call as a row, and a row as a tool call."""

from storage.record import ToolCall
from storage.relational.tools.rows import REPEATED, make_call, row_of
from tests.storage.samples import START_US


def make(latency_us: int | None = 7) -> ToolCall:
    """Make a call with something in every field."""
    return ToolCall(
        record_id=bytes(range(16)),
        position=3,
        started_at_us=START_US,
        created_at_us=START_US + 1,
        tool_name="search",
        server_label="web",
        status="error",
        latency_us=latency_us,
        cost_usd=0.25,
        arguments=b'{"q": 1}',
        result=b"",
        error_details=b"null",
        metadata=b"{}",
        rpc_id="1",
        session="s",
        llm_request_id="l",
        project="p",
        container=None,
        client="c",
        key_id="k",
        key_name="name",
        key_last4="abcd",
        search="text",
    )


def test_a_call_comes_back_as_it_was() -> None:
    """A row and its repeated text make the call again, also one whose latency is not known."""
    for call in (make(), make(None)):
        assert make_call(row_of(call), [getattr(call, name) for name in REPEATED], START_US) == call


def test_below_the_floor_of_bodies_nothing_said_is_shown() -> None:
    """Arguments, result and search text of a call that started before the floor are left out, all
    else stays.
    """
    call = make()
    found = make_call(row_of(call), [getattr(call, name) for name in REPEATED], START_US + 1)
    assert (found.arguments, found.result, found.error_details, found.search) == (
        None,
        None,
        None,
        "",
    )
    assert (found.metadata, found.tool_name, found.session) == (b"{}", "search", "s")
