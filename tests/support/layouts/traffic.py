"""Exchanges of every kind, few of each: what a fixture holds."""

import random
import urllib.error
import urllib.request
from typing import Any, Final

import aiohttp
from yarl import URL

from examples import demo
from tests.support.sidelog import Sidelog

CONFIG: Final = """# What a configuration of this version says; {upstream} is the upstream's address.
[proxy]
stage = "kept"
trusted_proxies = ["127.0.0.1"]

[proxy.limits]
max_header_bytes = 16384

[[routes]]
id = "keyed"
path = "/keyed/"
upstream = "{upstream}"
auth = "required"
scope = "agent"
project = "of-route"
project_header = "X-Project"

[redact]
json_keys = ["nickname"]

[capture]
response_body_bytes = 16384

[retention]
max_age_days = 0
body_max_age_days = 0

[spool]
max_bytes = 4194304

[ring]
bytes = 1048576
"""
VIEW: Final = {
    "name": "Failures",
    "query": "status:5xx",
    "columns": ["started", "path"],
    "since": "24h",
}
KEY_NAME: Final = "Kept key"
BEFORE_STOP: Final = ("/api/users/3", "/api/users/4", "/api/errors/503")
"""Asked while the store is away, and in the spool after a stop."""
BEFORE_KILL: Final = ("/api/users/5", "/api/compressed", "/api/errors/500")
"""Asked while the collector stands still, and in a ring after a kill."""
KNOWN, UNKNOWN = 404, 401
"""Statuses of calls with a key that is known, whose path the upstream has not, and with another."""
_PATHS: Final = (
    "/api/users",
    "/api/users/latest",
    "/api/old/users",
    "/api/compressed",
    "/caf%C3%A9?q=%00&q=a%20b",
)
_VISITS: Final = (demo.use_api, demo.follow_prices, demo.ask_models, demo.use_tools)


def ask(sidelog: Sidelog, path: str, headers: dict[str, str] | None = None) -> int:
    """Ask once; returns the status."""
    try:
        with urllib.request.urlopen(
            urllib.request.Request(sidelog.url + path, headers=headers or {}), timeout=60
        ) as got:
            got.read()
            return int(got.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def ask_with(sidelog: Sidelog, secret: str) -> int:
    """Ask where a key is needed; returns the status."""
    return ask(sidelog, "/keyed/api/users", {"API-Key": secret})


async def record_all(sidelog: Sidelog, draw: random.Random) -> str:
    """Make a key and a view and record everything; returns the secret of the key."""
    async with aiohttp.ClientSession(headers={"User-Agent": "layouts/1"}) as session:
        key = await _change(
            session, sidelog, "POST", "/api/keys", {"name": KEY_NAME, "scopes": ["agent"]}
        )
        await _change(session, sidelog, "PUT", "/api/views", VIEW)
        for path in _PATHS:
            async with session.get(URL(sidelog.url + path, encoded=True), allow_redirects=False):
                pass
        for visit in _VISITS:
            await demo.make(sidelog.url, draw, visit)

        for path, body in (
            ("/api/login", {"user": "guest", "password": "correct horse"}),
            ("/api/users", {"name": "Ada", "nickname": "secret"}),
        ):
            async with session.post(sidelog.url + path, json=body):
                pass
        async with session.ws_connect(f"{sidelog.url.replace('http', 'ws')}/ws") as socket:
            for text in ("first of the session", "second", "größer"):
                await socket.send_str(text)
                await socket.receive(60)

    secret: str = key["secret"]
    return secret


async def _change(
    session: aiohttp.ClientSession, sidelog: Sidelog, method: str, path: str, body: Any
) -> Any:
    headers = {"Authorization": f"Bearer {sidelog.token}"}
    async with session.request(
        method, sidelog.admin_url + path, json=body, headers=headers
    ) as answer:
        assert answer.status < 300, await answer.text()
        return await answer.json()
