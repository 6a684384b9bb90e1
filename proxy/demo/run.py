"""`sidelog demo`: a process with the demo upstream and its traffic, and the sidelog between them.

Strategy: that process is started first, because it says where the upstream is; then this one
becomes `serve`, whose log, Ctrl-C and exit code are the demo's. The process has a session of its
own and is bound to this one (`die_with_parent.py`), so it ends behind sidelog, however that ends.
It sends nothing, not even the token, before sidelog has announced that the ports are its own:
another program may listen where the demo was to.
"""

import asyncio
import json
import secrets
import socket
import subprocess
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from proxy.demo.die_with_parent import bound_to_this_process
from proxy.demo.traffic import KEYED, trickle
from proxy.demo.upstream import serving
from proxy.demo.welcome import url_of
from proxy.process.data_dir import DEMO_DIRECTORY, TOKEN_FILE
from proxy.process.own_packages import module_command, module_environment
from proxy.settings.addresses import parse_address
from proxy.settings.load import load

BEFORE: Final = "a demo service, with a trickle of sample traffic and an agent at work"
"""What the proxy stands in front of."""
DEFAULT_LISTEN: Final = "127.0.0.1:8080"
DEFAULT_ADMIN_LISTEN: Final = "127.0.0.1:8090"
TIMEOUT_ASK_S: Final = 2.0
"""Of one question whether sidelog is ready."""
POLL_S: Final = 0.1
MAX_NOTICE_BYTES: Final = 4096
KEY_NAME: Final = "Demo app"
_ANY_UPSTREAM: Final = "http://127.0.0.1:1"


class CannotStart(Exception):
    """The demo cannot run as asked; the text says why."""


def start(
    listen: str, admin_listen: str, data_dir: str | None, environ: MutableMapping[str, str]
) -> dict[str, str]:
    """Start upstream and traffic; return the settings of the sidelog between them, as flags give
    them.

    Where an address is left at its default, the environment may name another. Settings that make
    pages of the UI less empty are put into it, unless the user has set them.

    Raises:
        SettingsError: the environment or an address is wrong.
        CannotStart: the traffic has no port to go to, or its process ended.
    """
    if listen == DEFAULT_LISTEN:
        listen = environ.get("SIDELOG_PROXY__LISTEN", listen)
    if admin_listen == DEFAULT_ADMIN_LISTEN:
        admin_listen = environ.get("SIDELOG_ADMIN__LISTEN", admin_listen)
    overrides = {
        "proxy.upstream": _ANY_UPSTREAM,
        "proxy.listen": listen,
        "admin.listen": admin_listen,
    }
    if data_dir is not None or not environ.get("SIDELOG_DATA_DIR"):
        # Keeps a demo's records apart from real ones.
        overrides["data_dir"] = data_dir or DEMO_DIRECTORY
    settings = load(overrides, environ, None)
    try:
        parse_address(listen)
    except ValueError as error:  # what is valid else is a Unix socket
        raise CannotStart(
            f"the traffic of the demo needs a port: {error}, got {listen!r}"
        ) from error

    url, environ["NOTIFY_SOCKET"] = _start_beside(listen, admin_listen, settings.data_dir)
    users = {"id": "users", "path": KEYED, "upstream": url, "service": "users", "auth": "optional"}
    tools = {
        "id": "tools",
        "path": "/mcp",
        "upstream": url,
        "tool_cost_usd": {"search_documents": 0.002},
    }
    alert = {
        "name": "errors",
        "figure": "share",
        "of": "status:5xx",
        "above": 0.02,
        "url": f"{url}/hook",
    }
    environ.setdefault("SIDELOG_ROUTES", json.dumps([users, tools]))
    environ.setdefault("SIDELOG_ALERTS", json.dumps([alert]))
    return overrides | {"proxy.upstream": url}


def _start_beside(*arguments: str) -> tuple[str, str]:
    """Start the process beside sidelog; return the URL of its upstream, and the socket it waits at."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
        bound_to_this_process(module_command("proxy.demo.run", *arguments)),
        env=module_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None, "bug: its output is a pipe"
    port, _, notify_socket = process.stdout.readline().decode().strip().partition(" ")
    if not port:
        raise CannotStart("the demo upstream ended before it listened")

    return f"http://127.0.0.1:{port}", notify_socket


async def accompany(listen: str, admin_listen: str, data_directory: Path) -> None:
    """Serve the upstream, print its port, and send traffic through sidelog once that is ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notices:
        notices.setblocking(False)
        name = f"sidelog-demo-{secrets.token_hex(16)}"
        notices.bind(f"\0{name}")
        await _accompany(notices, f"@{name}", listen, admin_listen, data_directory)


async def _accompany(
    notices: socket.socket, notify_socket: str, listen: str, admin_listen: str, data_directory: Path
) -> None:
    async with serving() as port:
        sys.stdout.write(f"{port} {notify_socket}\n")
        sys.stdout.flush()
        # The first notice says that sidelog listens. Without it the ports may be those of another
        # program.
        await asyncio.get_running_loop().sock_recv(notices, MAX_NOTICE_BYTES)
        await await_ready(url_of(admin_listen))
        token = (data_directory / TOKEN_FILE).read_text().strip()
        try:
            key = await new_key(url_of(admin_listen), token)
        except ClientError:
            # Sidelog was stopped in between, and this process ends with it.
            return
        await trickle(url_of(listen), key=key)


async def await_ready(admin_url: str) -> None:
    """Ask /readyz until it says yes."""
    async with ClientSession(timeout=ClientTimeout(total=TIMEOUT_ASK_S)) as session:
        while True:
            with suppress(ClientError, TimeoutError):
                async with session.get(f"{admin_url}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(POLL_S)


async def new_key(admin_url: str, token: str) -> str:
    """Create the API key of the sample traffic, in the place of that of an earlier demo; return its
    secret.
    """
    async with ClientSession(admin_url, headers={"Authorization": f"Bearer {token}"}) as session:
        async with session.get("/api/keys") as answer:
            keys = (await answer.json())["keys"]
        for key in keys:
            if key["name"] == KEY_NAME:
                await (await session.delete(f"/api/keys/{key['id']}")).release()
        async with session.post(
            "/api/keys", json={"name": KEY_NAME, "project": "mobile"}
        ) as answer:
            return str((await answer.json())["secret"])


if __name__ == "__main__":
    asyncio.run(accompany(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
