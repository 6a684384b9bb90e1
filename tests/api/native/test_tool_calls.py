"""One tool call as the MCP logs and the record detail show it."""

import msgspec

from api.native.tool_calls import call_id, project_call
from storage.record import format_id
from tests.api.samples import make_tool_call


def test_optional_members_are_left_out_when_there_is_nothing_to_say() -> None:
    """A call without key, LLM request and error has neither member; the first of a batch has its
    record's id.
    """
    call = make_tool_call(1)
    shown = msgspec.json.decode(msgspec.json.encode(project_call(call)))
    assert {"llm_request_id", "error_details", "virtual_key"}.isdisjoint(shown)
    assert (shown["id"], shown["latency"]) == (format_id(call.record_id), 12.5)
    call.position = 2
    call.error_details = b'{"type": "rpc"}'
    shown = msgspec.json.decode(msgspec.json.encode(project_call(call)))
    assert shown["id"] == call_id(call) == f"{format_id(call.record_id)}.2"
    assert shown["error_details"] == {"type": "rpc"}
