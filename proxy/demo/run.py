"""`sidelog demo`: the demo upstream, sidelog in front of it and a trickle of traffic, until Ctrl-C.

Start order: upstream, sidelog, traffic; stop order is the reverse, written once in `demonstrate` as nested contexts.
sidelog runs in a process group of its own, so that Ctrl-C reaches only the demo, which then takes it down in order; it
is bound to the demo (`die_with_parent.py`), so that it does not outlive one that was killed.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from proxy.demo.die_with_parent import bound_to_this_process
from proxy.demo.traffic import KEYED, trickle
from proxy.demo.upstream import serving
from proxy.demo.welcome import url_of, welcome
from proxy.process.data_dir import DEMO_DIRECTORY, TOKEN_FILE
from proxy.process.own_packages import module_command, module_environment
from proxy.settings.addresses import parse_address
from proxy.settings.load import load
from proxy.settings.model import SettingsError

DEFAULT_LISTEN: Final = "127.0.0.1:8080"
DEFAULT_ADMIN_LISTEN: Final = "127.0.0.1:8090"
TIMEOUT_START_S: Final = 30.0
TIMEOUT_ASK_S: Final = 2.0
"""Of one question whether it is ready."""
TIMEOUT_STOP_S: Final = 105.0
"""More than sidelog's own drain may take: 35 s for its workers, 60 s for its collector."""
POLL_S: Final = 0.1
KEY_NAME: Final = "Demo app"
INTERRUPTED: Final = 130


class CannotStart(Exception):
    """The demo cannot run as asked; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where everything will be."""

    listen: str
    admin_listen: str
    data_directory: Path
    upstream_url: str

    @property
    def serve_environ(self) -> dict[str, str]:
        """Settings that make pages of the UI less empty; those of the user win."""
        url = self.upstream_url
        users = {"id": "users", "path": KEYED, "upstream": url, "service": "users", "auth": "optional"}
        tools = {"id": "tools", "path": "/mcp", "upstream": url, "tool_cost_usd": {"search_documents": 0.002}}
        alert = {"name": "errors", "figure": "share", "of": "status:5xx", "above": 0.02, "url": f"{url}/hook"}
        routes, alerts = json.dumps([users, tools]), json.dumps([alert])
        return {"SIDELOG_ROUTES": routes, "SIDELOG_ALERTS": alerts, **module_environment()}

    @property
    def serve_command(self) -> list[str]:
        flags = ["--upstream", self.upstream_url, "--listen", self.listen, "--admin-listen", self.admin_listen]
        return module_command("proxy", "serve", *flags, "--data-dir", str(self.data_directory))


def main(listen: str = DEFAULT_LISTEN, admin_listen: str = DEFAULT_ADMIN_LISTEN, data_dir: str | None = None) -> int:
    """Run the demo until it is stopped; where an address is left at its default, the environment may name another.

    Returns:
        130 after Ctrl-C, 0 after SIGTERM, 1 when something cannot start, 2 for wrong settings, else the exit code of
        sidelog, if it ended by itself.
    """
    try:
        return asyncio.run(demonstrate(listen, admin_listen, data_dir))
    except KeyboardInterrupt:
        return INTERRUPTED
    except CannotStart as error:
        sys.stderr.write(f"sidelog demo: {error}\n")
        return 1
    except SettingsError as error:
        sys.stderr.write("".join(f"sidelog demo: {problem}\n" for problem in error.problems))
        return 2


async def demonstrate(listen: str, admin_listen: str, data_dir: str | None) -> int:
    """Start everything in order, wait for the first reason to stop, stop everything in the reverse order."""
    outcome: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    on_signals(outcome)
    async with serving() as port:
        plan = make_plan(listen, admin_listen, data_dir, f"http://127.0.0.1:{port}", os.environ)
        async with sidelog(plan) as serve, asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(report_end(serve, outcome), name="watch-serve"),
                group.create_task(present(plan, outcome), name="traffic"),
            ]
            code = await outcome
            for task in tasks:
                task.cancel()
    return code


def make_plan(
    listen: str, admin_listen: str, data_dir: str | None, upstream_url: str, environ: Mapping[str, str]
) -> Plan:
    """Decide addresses and data directory the way `serve` will.

    Raises:
        SettingsError: the environment or an address is wrong.
        CannotStart: the data port is a Unix socket.
    """
    if listen == DEFAULT_LISTEN:
        listen = environ.get("SIDELOG_PROXY__LISTEN", listen)
    if admin_listen == DEFAULT_ADMIN_LISTEN:
        admin_listen = environ.get("SIDELOG_ADMIN__LISTEN", admin_listen)
    overrides = {"proxy.upstream": upstream_url, "proxy.listen": listen, "admin.listen": admin_listen}
    if data_dir is not None or not environ.get("SIDELOG_DATA_DIR"):
        overrides["data_dir"] = data_dir or DEMO_DIRECTORY  # keeps a demo's records apart from real ones
    settings = load(overrides, environ, None)
    try:
        parse_address(listen)
    except ValueError as error:  # what is valid else is a Unix socket
        raise CannotStart(f"its traffic needs a port: {error}, got {listen!r}") from error
    return Plan(
        listen=listen, admin_listen=admin_listen, data_directory=Path(settings.data_dir), upstream_url=upstream_url
    )


@asynccontextmanager
async def sidelog(plan: Plan) -> AsyncIterator[Process]:
    """Start sidelog, tied to this process; at the end SIGTERM, wait, and SIGKILL only if that takes too long."""
    process = await asyncio.create_subprocess_exec(
        *bound_to_this_process(plan.serve_command),
        env=plan.serve_environ,
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        await stop(process)


async def stop(process: Process) -> None:
    """End sidelog in good order; does nothing when it has ended."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(TIMEOUT_STOP_S):
            await process.wait()
    except TimeoutError:
        sys.stderr.write(f"sidelog demo: sidelog did not stop within {TIMEOUT_STOP_S:.0f} s and was killed\n")
        process.kill()
        await process.wait()


def on_signals(outcome: asyncio.Future[int]) -> None:
    """Let the first SIGINT or SIGTERM decide the outcome; a second one ends the demo as if it had no handler.

    The kernel then sends sidelog a second SIGTERM, at which it stops at once.
    """
    loop = asyncio.get_running_loop()

    def receive(code: int) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        decide(outcome, code)

    loop.add_signal_handler(signal.SIGINT, receive, INTERRUPTED)
    loop.add_signal_handler(signal.SIGTERM, receive, 0)


def decide(outcome: asyncio.Future[int], code: int) -> None:
    """Set the exit code; the first reason counts."""
    if not outcome.done():
        outcome.set_result(code)


async def report_end(process: Process, outcome: asyncio.Future[int]) -> None:
    """Make sidelog's own end the outcome; one killed by a signal counts as 128 + its number, as in a shell."""
    code = await process.wait()
    decide(outcome, code if code >= 0 else 128 - code)


async def present(plan: Plan, outcome: asyncio.Future[int]) -> None:
    """Wait until sidelog is ready, say where everything is, and send traffic."""
    if not await is_ready(url_of(plan.admin_listen)):
        sys.stderr.write(f"sidelog demo: sidelog was not ready within {TIMEOUT_START_S:.0f} s\n")
        decide(outcome, 1)
        return
    token = (plan.data_directory / TOKEN_FILE).read_text().strip()
    before = "a demo service, with a trickle of sample traffic and an agent at work"
    sys.stdout.write(welcome(before, plan.listen, plan.admin_listen, plan.data_directory, token))
    sys.stdout.flush()
    await trickle(url_of(plan.listen), key=await new_key(url_of(plan.admin_listen), token))


async def new_key(admin_url: str, token: str) -> str:
    """Create the API key of the sample traffic, in the place of that of an earlier demo; return its secret."""
    async with ClientSession(admin_url, headers={"Authorization": f"Bearer {token}"}) as session:
        async with session.get("/api/keys") as answer:
            keys = (await answer.json())["keys"]
        for key in keys:
            if key["name"] == KEY_NAME:
                await (await session.delete(f"/api/keys/{key['id']}")).release()
        async with session.post("/api/keys", json={"name": KEY_NAME, "project": "mobile"}) as answer:
            return str((await answer.json())["secret"])


async def is_ready(admin_url: str) -> bool:
    """Ask /readyz until it says yes; False when it has not after `TIMEOUT_START_S`."""
    try:
        async with (
            asyncio.timeout(TIMEOUT_START_S),
            ClientSession(timeout=ClientTimeout(total=TIMEOUT_ASK_S)) as session,
        ):
            while not await is_ok(session, f"{admin_url}/readyz"):  # noqa: ASYNC110 - another process sends no event
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return False
    return True


async def is_ok(session: ClientSession, url: str) -> bool:
    """Whether an address answers with 200; one question that takes long does not end the wait."""
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except (ClientError, TimeoutError):
        return False
