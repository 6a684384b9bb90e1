"""A client of the GraphQL API, gql: `graphql_client.py URL`; prints what it got as one line of
JSON.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from gql import Client, FileVar, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport

UPLOAD = Path("upload.bin")
LOGIN = (
    "mutation Login($name: String!, $password: String!) { login(name: $name, password: $password) }"
)
USER = "query GetUser($id: Int!) { user(id: $id) { id name } }"
COUNT = "subscription Count($target: Int!) { count(target: $target) }"


async def ask(session: Any, document: str, **variables: object) -> object:
    """Return the data, or what the error says."""
    request = gql(document)
    request.variable_values = {name: value for name, value in variables.items() if name != "file"}
    is_upload = "file" in variables
    if is_upload:
        request.variable_values["file"] = FileVar(str(variables["file"]))
    try:
        if is_upload:
            return await session.execute(request, upload_files=True)
        return await session.execute(request)
    except TransportQueryError as error:
        return str(error.errors)


async def count(session: Any, target: int) -> list[object]:
    """Return what a subscription told, and how it failed."""
    request = gql(COUNT)
    told = []
    request.variable_values = {"target": target}

    try:
        async for each in session.subscribe(request):
            told.append(each)  # noqa: PERF401 - what came before a failure stays
    except TransportQueryError as error:
        told.append(str(error.errors))

    return told


async def main(url: str) -> None:
    """Ask over HTTP, then over a WebSocket in both protocols."""
    got: list[object] = []
    async with Client(transport=AIOHTTPTransport(f"{url}/graphql")) as session:
        got += [await ask(session, USER, id=number) for number in (4, 13)]
        got.append(await ask(session, LOGIN, name="bob", password="canary-variable"))
        got.append(await ask(session, 'mutation { login(name: "bob", password: "canary-inline") }'))
        got.append(
            await ask(session, "mutation Size($file: Upload!) { size(file: $file) }", file=UPLOAD)
        )

    for protocol in ("graphql-transport-ws", "graphql-ws"):
        transport = WebsocketsTransport(
            f"{url}/graphql".replace("http", "ws", 1),
            init_payload={"authToken": "canary-init"},
            subprotocols=[protocol],
        )
        async with Client(transport=transport) as session:
            got += [await count(session, 2), await count(session, 5)]

    sys.stdout.write(json.dumps(got) + "\n")


UPLOAD.write_bytes(bytes(range(256)) * 1000)
asyncio.run(main(sys.argv[1]))
