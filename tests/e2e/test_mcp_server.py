"""`/mcp` and `sidelog mcp`, used by the official client: why did checkout fail in the last ten
minutes?

The shop's checkout asks its payments, through the same sidelog; those refuse one currency. The walk
has tool calls only, and what each needs comes from the answers before it; its transcript is in
`docs/guides/agents.md`.
"""

import contextlib
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from tests.support.sidelog import ROOT, Sidelog, eventually
from tests.support.upstream import running

ORDERS = 12


class Shop:
    """A service with two faults to find: what is refused, and whose refusal it is."""

    def __init__(self) -> None:
        self.proxy_url = ""

    async def checkout(self, request: web.Request) -> web.Response:
        """Charge the payments, through the proxy, in the trace of the order."""
        order = await request.json()
        trace = {"traceparent": request.headers["traceparent"]}
        async with (
            ClientSession() as session,
            session.post(
                f"{self.proxy_url}/payments/charges", json=order, headers=trace
            ) as charged,
        ):
            if charged.status == 200:
                return web.json_response({"order": order["order"], "state": "paid"})
            return web.json_response(
                {"error": "payment failed", "order": order["order"]}, status=502
            )

    async def charge(self, request: web.Request) -> web.Response:
        """Take euros only."""
        order = await request.json()
        if order["currency"] == "EUR":
            return web.json_response({"charge": order["order"]})

        error = {
            "code": "currency_not_enabled",
            "message": f"{order['currency']} was disabled for this account",
        }
        return web.json_response({"error": error}, status=422)

    def application(self) -> web.Application:
        """Make the service."""
        app = web.Application()
        app.router.add_post("/api/checkout", self.checkout)
        app.router.add_post("/payments/charges", self.charge)
        return app


@pytest.fixture(scope="module")
def sidelog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidelog]:
    """A sidelog that has seen the orders."""
    shop = Shop()
    with (
        running(shop.application()) as upstream,
        Sidelog(tmp_path_factory.mktemp("agent") / "data", upstream) as sidelog,
    ):
        shop.proxy_url = sidelog.url
        for number in range(ORDERS):
            order = {
                "order": number,
                "currency": "CHF" if number % 3 == 2 else "EUR",
                "amount": 100 + number,
            }
            headers = {
                "Content-Type": "application/json",
                "traceparent": f"00-{number + 1:032x}-{1:016x}-01",
            }

            request = urllib.request.Request(
                f"{sidelog.url}/api/checkout", json.dumps(order).encode(), headers
            )
            with (
                contextlib.suppress(urllib.error.HTTPError),
                urllib.request.urlopen(request, timeout=60),
            ):
                pass

        eventually(lambda: len(sidelog.records()) == 2 * ORDERS)
        yield sidelog


@contextlib.asynccontextmanager
async def connected(sidelog: Sidelog, transport: str, cwd: Path) -> AsyncIterator[Any]:
    """Connect the official client over HTTP, or to `sidelog mcp`."""
    import httpx2
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamable_http_client

    headers = {"Authorization": f"Bearer {sidelog.token}"}
    async with (
        httpx2.AsyncClient(trust_env=False, headers=headers, timeout=60) as http,
        contextlib.AsyncExitStack() as stack,
    ):
        if transport == "http":
            streams = streamable_http_client(f"{sidelog.admin_url}/mcp", http_client=http)
        else:
            arguments = ["-m", "proxy", "mcp", "--data-dir", str(sidelog.data_dir)]
            environ = {**os.environ, "PYTHONPATH": str(ROOT)}
            streams = stdio_client(
                StdioServerParameters(
                    command=sys.executable, args=arguments, env=environ, cwd=str(cwd)
                ),
                errlog=stack.enter_context((cwd / "stderr").open("w")),
            )

        async with Client(streams) as client:
            yield client


class Walk:
    """Tool calls and their answers, as a transcript."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.lines: list[str] = []

    async def call(self, tool: str, **arguments: Any) -> Any:
        """Call a tool and note both."""
        result = await self.client.call_tool(tool, arguments)
        [content] = result.content
        self.lines.append(f"> {tool} {json.dumps(arguments)}\n{content.text}\n")
        assert not result.is_error, content.text
        return json.loads(content.text)


@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_the_cause_of_a_failure_is_found_by_tool_calls(
    sidelog: Sidelog, tmp_path: Path, transport: str
) -> None:
    """From how much fails to one order, what differs from one that went well, and whose refusal it
    was.
    """
    async with connected(sidelog, transport, tmp_path) as client:
        tools = await client.list_tools()
        assert {"search", "get", "compare", "around"} <= {tool.name for tool in tools.tools}
        [language] = (await client.list_resources()).resources
        assert "status:5xx" in (await client.read_resource(language.uri)).contents[0].text
        walk = Walk(client)
        rows = (await walk.call("endpoints", query="path:/api/checkout", since="10m"))["rows"]
        [row] = rows
        assert (row["exchanges"], row["server_errors"]) == (ORDERS, ORDERS // 3)
        endpoint = f"endpoint:{row['value']}"
        failures = await walk.call("search", query=f"{endpoint} status:5xx", since="10m", limit=1)
        failed = failures["records"][0]
        successes = await walk.call("search", query=f"{endpoint} status:2xx", since="10m", limit=1)
        success = successes["records"][0]
        both = await walk.call("compare", a=success["id"], b=failed["id"])
        changed = {
            each["path"]: each.get("b")
            for part in both["parts"]
            for each in part.get("changes", ())
        }
        assert changed[".currency"] == '"CHF"'
        same = await walk.call(
            "search", query=f"trace:{failed['trace_id']}", since="10m", order="asc"
        )
        [refused] = [each for each in same["records"] if each["path"] == "/payments/charges"]
        seen = await walk.call("get", id=refused["id"])
        assert "CHF was disabled for this account" in seen["response"]["body"]

    (tmp_path / "transcript").write_text("\n".join(walk.lines))


async def test_the_log_of_no_running_sidelog_is_served(sidelog: Sidelog, tmp_path: Path) -> None:
    """From its store, read only; last, as the sidelog of all tests is stopped for it."""
    sidelog.stop()
    try:
        async with connected(sidelog, "stdio", tmp_path) as client:
            found = await Walk(client).call("figures", since="1h")
            assert found["exchanges"] == 2 * ORDERS
    finally:
        sidelog.start()
