"""The server of the Model Context Protocol at `/mcp`: messages and tools, through a whole
application.
"""

import json
from dataclasses import replace
from typing import Any

from api.dialects.mcp import MAX_CHARACTERS, VERSIONS
from api.dialects.mcp_tools import TOOLS, describe_language
from storage.query import Scope
from storage.record import Entry, Stream, ToolCall, format_id, new_id
from storage.search.language.parser import parse_search
from storage.search.language.words import PREFIXES, WORDS
from tests.api.conftest import BEARER, Client, Start, World, ask
from tests.api.samples import START_US, make_body, make_payload, make_record
from tests.support.cases import each_of

SINCE = "2020-01-01"


async def send(
    client: Client, method: str, headers: dict[str, str] = BEARER, **params: Any
) -> dict[str, Any]:
    """Send one request and return the whole reply."""
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    response = await client.post("/mcp", json=message, headers=headers)
    assert response.status == 200, await response.text()
    reply: dict[str, Any] = await response.json()
    assert reply["id"] == 7
    return reply


async def call(
    client: Client, tool: str, headers: dict[str, str] = BEARER, **arguments: Any
) -> Any:
    """Call a tool and return what it answered: JSON, or the text of a refusal, or of a transcript."""
    result = (await send(client, "tools/call", headers, name=tool, arguments=arguments))["result"]
    [content] = result["content"]
    is_text = tool == "transcript" or result.get("isError")
    if is_text:
        return content["text"]
    return json.loads(content["text"])


async def test_a_client_is_introduced(client: Client) -> None:
    """The revision it asks for if we have it, else our newest; what there is, and how to begin."""
    for asked, answered in (
        (VERSIONS[1], VERSIONS[1]),
        ("1999-01-01", VERSIONS[0]),
        (None, VERSIONS[0]),
    ):
        result = (await send(client, "initialize", protocolVersion=asked))["result"]
        assert result["protocolVersion"] == answered
        assert result["serverInfo"] == {"name": "sidelog", "version": "0.1.0"}
        assert set(result["capabilities"]) == {"tools", "resources"}

    assert (await send(client, "ping"))["result"] == {}
    listed = (await send(client, "tools/list"))["result"]["tools"]
    assert [tool["name"] for tool in listed] == list(TOOLS)
    assert len({tool["title"] for tool in listed}) == len(TOOLS)


@each_of(
    ("content", "status"),
    [
        ('{"jsonrpc": "2.0", "method": "notifications/initialized"}', 202),
        ("{", 400),
        ("[]", 400),
        ('{"jsonrpc": "1.0", "id": 1, "method": "ping"}', 400),
        ('{"id": 1, "method": "ping"}', 400),
        (
            '{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": %s}}'
            % ("[" * 9000 + "]" * 9000),
            400,
        ),
        (
            json.dumps(
                {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": "x" * 70_000}}
            ),
            413,
        ),
    ],
)
async def test_what_is_no_request_is_not_answered(
    client: Client, content: str, status: int
) -> None:
    """A notification is taken; what is no message is refused."""
    response = await client.post(
        "/mcp", data=content, headers=BEARER | {"Content-Type": "application/json"}
    )
    assert response.status == status


async def test_a_request_that_cannot_be_answered_gets_an_error(client: Client) -> None:
    """An id of any kind comes back with it."""
    for method, params, code in (
        ("tools/walk", {}, -32601),
        ("tools/call", {"name": "nothing"}, -32602),
        ("tools/call", {"name": "search", "arguments": [1]}, -32602),
        ("tools/call", {"name": "search", "arguments": '{"query": "status:500"}'}, -32602),
        ("resources/read", {"uri": "file:///etc/passwd"}, -32602),
    ):
        assert (await send(client, method, **params))["error"]["code"] == code

    for identity in ("a", 10**30, None, 1.5):
        message = {"jsonrpc": "2.0", "id": identity, "method": "ping"}
        response = await client.post("/mcp", json=message, headers=BEARER)
        assert (await response.json())["id"] == identity


async def test_the_door_is_that_of_the_admin_port(client: Client) -> None:
    """No token, another site, an unknown revision and GET are refused."""
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert (await client.post("/mcp", json=ping)).status == 401
    elsewhere = BEARER | {"Origin": "http://evil.example"}
    assert (await client.post("/mcp", json=ping, headers=elsewhere)).status == 403
    other = BEARER | {"MCP-Protocol-Version": "2026-07-28"}
    assert (await client.post("/mcp", json=ping, headers=other)).status == 400
    await ask(client, "/mcp", 405)


async def test_a_tool_says_what_it_cannot_read(client: Client) -> None:
    """In a result, so that a model can ask better."""
    for tool, arguments, said in (
        ("search", {"query": "colour:red"}, "colour"),
        ("search", {"limit": 500}, "limit is '500', expected a whole number from 1 to 50"),
        ("search", {"order": "up"}, "one of desc, asc"),
        (
            "search",
            {"page": 1},
            "no such argument: there are query, since, until, limit, order, cursor",
        ),
        ("get", {"id": "nothing", "body_from": "x"}, "body_from is 'x', expected a whole number"),
        ("get", {}, "id is '', expected a value"),
        ("get", {"id": "nothing"}, "no record"),
        ("get", {"id": "../../status"}, "no record"),
        ("conversation", {"id": "nothing"}, "no conversation"),
        ("transcript", {"id": "nothing"}, "no conversation"),
        ("transcript", {"id": "nothing", "characters": 50}, "from 1000 to 36000"),
    ):
        assert said in await call(client, tool, **arguments)


async def test_records_are_found_and_shown(world: World, client: Client) -> None:
    """Short first, with the id that leads to all of it, body by body."""
    body = make_body(b"0123456789" * 300)
    fine = make_record(1, service="shop")
    failed = make_record(2, service="shop", status=502, error_type="refused")
    await world.store(fine, (failed, make_payload(make_body(b'{"n":1}'), body)))
    found = await call(client, "search", query="status:5xx", since=SINCE)
    [record] = found["records"]
    assert record["id"] == format_id(failed.id)
    assert record["error_type"] == "refused"
    assert record["duration_ms"] == 102.0
    assert "outcome" not in record  # nothing but what says something
    shown = await call(client, "get", id=record["id"], body_characters=10)
    assert shown["request"]["body"] == '{"n":1}'
    assert shown["request"]["headers"][-2:] == ["X-A: 1", "X-A: 2"]
    assert shown["response"]["body"] == "0123456789"
    assert "body_from 10" in shown["response"]["body_goes_on"]
    rest = await call(client, "get", id=record["id"], body_from=2990)
    assert rest["response"]["body"] == "0123456789"
    near = await call(client, "around", id=format_id(fine.id))
    assert [each["id"] for each in near["records"]] == [format_id(fine.id), format_id(failed.id)]
    both = await call(client, "compare", a=format_id(fine.id), b=format_id(failed.id))
    assert not both["equal"]
    changes = [change for part in both["parts"] for change in part.get("changes", ())]
    assert {"change": "changed", "path": "status", "a": "200", "b": "502"} in changes


async def test_records_are_added_up(world: World, client: Client) -> None:
    """By endpoint or another field, in sum and over time, and by conversation."""
    calls = [
        make_record(n, conversation=bytes(range(16)), model="gpt-4o", input_tokens=5)
        for n in (1, 2)
    ]
    await world.store(make_record(3, status=503), *calls)
    rows = (await call(client, "endpoints", by="status", since=SINCE))["rows"]
    assert {row["value"]: row["exchanges"] for row in rows} == {"200": 2, "503": 1}
    assert not any(value is None for row in rows for value in row.values())
    sums = await call(client, "figures", since=SINCE, buckets=3)
    assert (sums["exchanges"], sums["status"]) == (3, {"2xx": 2, "5xx": 1})
    assert (await call(client, "figures", query="path:/nothing"))["exchanges"] == 0
    assert sum(each["status"].get("5xx", 0) for each in sums["over_time"]) == 1
    [run] = (await call(client, "conversations", since=SINCE))["conversations"]
    assert (run["turns"], run["models"]) == (2, {"gpt-4o": 2})
    assert None not in run.values()
    one = await call(client, "conversation", id=run["id"])
    assert [each["id"] for each in one["calls"]] == [format_id(each.id) for each in calls]


async def test_a_run_is_read_as_text(world: World, client: Client) -> None:
    """Its sums, its calls in so many characters, the tool that failed, and how to go on."""
    body = json.dumps({"messages": [{"role": "user", "content": "word " * 2000}]}).encode()
    tells = Stream(None, None, None, True, failed_tools=["read_file"])
    fields: dict[str, Any] = {"provider": "anthropic", "conversation": bytes(16), "input_tokens": 5}
    records = [make_record(n, stream=tells, error_type="tool_error", **fields) for n in range(9)]
    await world.store(*((record, make_payload(make_body(body), None)) for record in records))
    text = await call(client, "transcript", id=format_id(bytes(16)), characters=1000)
    lines = text.split("\n")
    assert lines[0].startswith("word word")
    assert lines[1] == "9 calls, 9 failed; tools that failed: read_file 9; 45 tokens in, 0 out"
    assert "[user] word word" in text
    assert len(text) < 2000
    cursor = lines[-1].removeprefix("More calls follow: transcript with cursor ")
    rest = await call(
        client, "transcript", id=format_id(bytes(16)), characters=36_000, cursor=cursor
    )
    shown = [each for each in (format_id(record.id) for record in records) if each in text + rest]
    assert len(shown) == 9
    assert "More calls follow" not in rest


async def test_a_list_goes_on_where_it_ended(world: World, client: Client) -> None:
    """With the cursor of the answer before."""
    await world.store(*(make_record(n) for n in range(5)))
    ids: list[str] = []
    more: dict[str, Any] = {}

    while True:
        page = await call(client, "search", since=SINCE, limit=2, **more)
        ids += [record["id"] for record in page["records"]]
        if "next_cursor" not in page:
            break
        more = {"cursor": page["next_cursor"]}

    assert len(set(ids)) == len(ids) == 5


async def test_an_answer_is_bounded(world: World, client: Client) -> None:
    """Whatever was recorded; it says that there is more."""
    records = [make_record(n, path="/" + "x" * 4000, status=500) for n in range(40)]
    await world.store(*records)
    result = (
        await send(client, "tools/call", name="search", arguments={"since": SINCE, "limit": 40})
    )["result"]
    text = result["content"][0]["text"]
    assert MAX_CHARACTERS // 2 < len(text) <= MAX_CHARACTERS
    page = json.loads(text)
    rest = await call(client, "search", since=SINCE, limit=40, cursor=page["next_cursor"])
    seen = [record["id"] for record in (*page["records"], *rest["records"])]
    assert len(set(seen)) == len(seen) > len(page["records"]), (
        "whole entries, and a cursor to go on"
    )


async def test_an_answer_that_is_nested_too_deep_is_said_to_be(
    world: World, client: Client
) -> None:
    """As an upstream may nest the details of an error; its record can be read by the API."""
    record = make_record(1)
    details = b"[" * 800 + b"]" * 800
    failed = ToolCall(
        record_id=record.id,
        started_at_us=START_US,
        created_at_us=START_US,
        tool_name="t",
        server_label="s",
        status="error",
        error_details=details,
    )
    await world.store(Entry(record, None, [failed]))
    result = (await send(client, "tools/call", name="get", arguments={"id": format_id(record.id)}))[
        "result"
    ]
    text = "the answer is nested too deep to be shown"
    assert result == {"content": [{"type": "text", "text": text}], "isError": True}
    assert (
        details
        in await (await client.get(f"/api/records/{format_id(record.id)}", headers=BEARER)).read()
    )


async def test_a_tool_sees_what_its_token_sees(world: World, client: Client) -> None:
    """Records of others are not there, by any tool."""
    own = make_record(1, project="proj_a", conversation=bytes(16))
    foreign = make_record(
        2, project="proj_b", path="/strange", conversation=b"\1" * 16, service="strange"
    )
    await world.store(own, foreign)
    reader = world.admit("reader", Scope(projects=("proj_a",)))
    ids = {"id": format_id(foreign.id), "a": format_id(own.id), "b": format_id(foreign.id)}

    for name, tool in TOOLS.items():
        given = {each: ids[each] for each in tool.needs} or {"since": SINCE}
        if name in ("conversation", "transcript"):
            given = {"id": format_id(b"\1" * 16)}
        answer = await call(client, name, reader, **given)
        assert "strange" not in json.dumps(answer), name
        assert (format_id(foreign.id) not in json.dumps(answer)) or "no record" in answer, name

    assert "no record" in await call(
        client, "get", reader, id=format_id(new_id(START_US * 1000, 1, 1))
    )


async def test_the_language_is_described(client: Client) -> None:
    """Every word with an example that can be read."""
    listed = (await send(client, "resources/list"))["result"]["resources"]
    [content] = (await send(client, "resources/read", uri=listed[0]["uri"]))["result"]["contents"]
    assert content["text"] == describe_language()
    for word in (*WORDS.values(), *PREFIXES.values()):
        assert f"`{word.name}`" in content["text"]
        assert parse_search(word.example, START_US) is not None


async def test_tools_work_below_a_path(world: World, start: Start) -> None:
    """Of another proxy, which passes it on: what a tool asks stays inside."""
    await world.store(make_record(1))
    client = await start(replace(world.services(), base_path="/logs"))
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    message["params"] = {"name": "search", "arguments": {"since": SINCE}}
    response = await client.post("/logs/mcp", json=message, headers=BEARER)
    [content] = (await response.json())["result"]["content"]
    assert len(json.loads(content["text"])["records"]) == 1


async def test_a_batch_is_answered_where_its_revision_has_batches(client: Client) -> None:
    """In that of 2025-03-26, which sends no header: each request has its reply, notifications have
    none.
    """
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    for headers in ({}, {"MCP-Protocol-Version": "2025-03-26"}):
        response = await client.post(
            "/mcp", json=[ping, told, ping | {"id": "b"}], headers=BEARER | headers
        )
        assert [reply["id"] for reply in await response.json()] == [1, "b"]
        assert (
            await client.post("/mcp", json=[told, told], headers=BEARER | headers)
        ).status == 202

    newer = BEARER | {"MCP-Protocol-Version": VERSIONS[0]}
    assert (await client.post("/mcp", json=[ping], headers=newer)).status == 400
    assert (await client.post("/mcp", json=[ping] * 1000, headers=BEARER)).status == 400


async def test_nothing_found_is_an_empty_list_with_its_period(client: Client) -> None:
    """Not just that the answer is complete."""
    for tool, name in (
        ("search", "records"),
        ("conversations", "conversations"),
        ("endpoints", "rows"),
    ):
        found = await call(client, tool, query="status:418", since=SINCE, until="2020-01-02")
        assert (found[name], found["since"], found["until"]) == ([], SINCE, "2020-01-02")


async def test_the_beginning_of_an_id_is_enough(world: World, client: Client) -> None:
    """As on the command line; 5.0 is a whole number, as in JSON Schema."""
    records = [make_record(n) for n in range(2)]
    await world.store(*records)
    whole = format_id(records[0].id)
    assert (await call(client, "get", id=whole[:30], body_characters=5.0))["id"] == whole
    assert (await call(client, "around", id=whole[:30], limit=5.0))["records"]
    assert "several ids begin with" in await call(client, "get", id=whole[:8])
