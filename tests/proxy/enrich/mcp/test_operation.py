"""What MCP messages ask for, and where that is shown."""

import json

from proxy.enrich.http.exchange import DecodedBody
from proxy.enrich.mcp.jsonrpc import MAX_BYTES, read_operation
from tests.proxy.enrich.mcp.mcp_world import (
    POST,
    SESSION,
    World,
    answer,
    ask,
    failed,
    request,
)
from tests.support.cases import each_of

CALL = ask(name="add", arguments={"name": "x", "method": "tools/list"})


@each_of(
    ("message", "operation"),
    [
        (CALL, "tools/call/add"),
        (request("prompts/get", name="greet"), "prompts/get/greet"),
        (request("resources/read", uri="a://b", name="c"), "resources/read"),
        ({"jsonrpc": "2.0", "method": "notifications/initialized"}, "notifications/initialized"),
        (
            {
                "params": {"arguments": {"method": "x"}, "name": "add"},
                "method": "tools/call",
                "jsonrpc": "2.0",
            },
            "tools/call/add",
        ),
        (ask(name="an odd name"), "tools/call"),
        (ask(name="n" * 65), "tools/call"),
        (ask(arguments={"text": "y" * MAX_BYTES}), "tools/call/add"),
        (ask() | {"method": "../../etc"}, None),
        (ask() | {"method": 7}, None),
        ({"method": "tools/call"}, None),
        (
            {
                "params": {"name": "add"},
                "method": "tools/call",
                "more": "y" * MAX_BYTES,
                "jsonrpc": "2.0",
            },
            "tools/call/add",
        ),
        ({"method": "run", "more": "y" * MAX_BYTES, "jsonrpc": "2.0"}, None),
        (answer(), None),
        ([CALL], None),
        ("tools/call", None),
    ],
)
def test_operations_are_read(message: object, operation: str | None) -> None:
    """Method, and name of a tool or prompt; of members of the message alone, also where its end is
    cut off.
    """
    body = json.dumps(message).encode()
    found = read_operation(DecodedBody.beginning(body, len(body)))
    assert (None if found is None else str(found)) == operation


def test_endpoints_and_records_name_them() -> None:
    """Requests of one path are told apart, the ones that fail too; what a client answers names
    nothing.
    """
    world = World()
    called = world.pass_on(CALL, answer())
    listed = world.pass_on(CALL | {"method": "tools/list"}, answer())
    assert [entry.record.endpoint for entry in (called, listed)] == [
        "/mcp#tools/call/add",
        "/mcp#tools/list",
    ]
    assert json.loads(called.record.data or b"") == {"mcp": {"method": "tools/call", "name": "add"}}
    assert json.loads(listed.record.data or b"") == {"mcp": {"method": "tools/list"}}
    assert world.accept(answer()).record.data is None


def test_a_refused_operation_stays_with_its_path() -> None:
    """No client makes endpoints with names that no server knows; the record says what was asked for
    all the same.
    """
    world = World()
    world.pass_on(CALL, answer())
    known = world.pass_on(CALL, failed(-32602), status=400).record
    refused = world.pass_on(ask(name="other"), failed(-32602), status=400).record
    assert (known.endpoint, refused.endpoint) == ("/mcp#tools/call/add", "/mcp")
    noted = {"error_message": "other: no", "mcp": {"method": "tools/call", "name": "other"}}
    assert json.loads(refused.data or b"") == noted


def test_the_messages_of_the_old_transport() -> None:
    """Posted to a path of any name, with the status 202."""
    record = World().accept(CALL, b"Accepted", **POST).record
    assert record.endpoint == "/messages#tools/call/add"
    assert record.data is not None


def test_other_json_is_no_operation() -> None:
    """A service may accept what looks like it."""
    like_it = {"method": "tools/call", "params": {}}
    record = World().accept(like_it, path="/jobs", request_headers="").record
    assert (record.endpoint, record.data) == ("/jobs", None)
    assert World().pass_on(b"", method="GET", request_headers=SESSION).record.data is None
