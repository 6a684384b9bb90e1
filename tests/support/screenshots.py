"""Pictures of the web UI for README and documentation: `python -m tests.support.screenshots DIR`
(`make screenshots`).

The demo runs for some minutes with its own traffic, then a real browser looks at each page of it.
Times and ids are those of the run, so pictures are made anew for a reason, not by every build.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from aiohttp import ClientSession

from proxy.process.data_dir import TOKEN_FILE
from tests.support.browser import Browser, Page, start_chromium
from tests.support.ports import free_port
from tests.support.sidelog import ROOT

TRAFFIC_S: Final = 300.0
"""Enough for a curve, and for one of everything the demo does."""
TIMEOUT_START_S: Final = 60.0
WIDTH: Final = 1280


class Picture(NamedTuple):
    """One page as it is shown."""

    name: str
    path: str
    scheme: str = "light"
    opens: str = ""
    """What is clicked first: a selector; empty: nothing."""
    height: int = 800


A_CALL: Final = "/requests?filter=model:claude-*+-called_tool:*+finish_reason:end_turn+first_byte:%3C100ms&period=15m"
PICTURES: Final = (
    Picture("overview", "/"),
    Picture("request", A_CALL, opens="tbody tr", height=1000),
    Picture("request-dark", A_CALL, scheme="dark", opens="tbody tr", height=1000),
    Picture("endpoints", "/endpoints"),
    Picture("conversations", "/conversations"),
)


@contextmanager
def demo(directory: Path) -> Iterator[str]:
    """Run the demo for a while; gives the address of its UI."""
    listen = f"127.0.0.1:{free_port()}"
    admin = f"127.0.0.1:{free_port()}"
    arguments = ["--listen", listen, "--admin-listen", admin, "--data-dir", str(directory)]
    running = subprocess.Popen([sys.executable, "-m", "examples.demo", *arguments], cwd=ROOT)

    try:
        _await_ready(f"http://{admin}")
        yield f"http://{admin}"
    finally:
        running.terminate()
        running.wait()


def _await_ready(url: str) -> None:
    deadline_s = time.monotonic() + TIMEOUT_START_S
    while True:
        try:
            urllib.request.urlopen(f"{url}/readyz", timeout=TIMEOUT_START_S).close()
            return
        except (OSError, urllib.error.HTTPError):
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.2)


async def take(url: str, token: str, into: Path, debugging_port: int) -> None:
    """Save all pictures in a directory."""
    async with (
        ClientSession() as session,
        Browser(session, debugging_port).page(width=WIDTH, height=800) as page,
    ):
        await page.open(f"{url}/login#token={token}")
        await page.until("location.pathname === '/'")
        for picture in PICTURES:
            await _show(page, url, picture)
            await page.screenshot(into / f"{picture.name}.png")
            sys.stdout.write(f"{into / picture.name}.png\n")


async def _show(page: Page, url: str, picture: Picture) -> None:
    await page.prefer(picture.scheme)
    await page.resize(WIDTH, picture.height)
    await page.open(f"{url}{picture.path}")
    await page.until(f"location.href.startsWith('{url}{picture.path.partition('?')[0]}')")
    await page.quiet()
    if picture.opens:
        await page.click(picture.opens)
        await page.quiet()


def main(into: Path) -> None:
    """Let the demo run, and save its pictures in a directory."""
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory, "data")
        with demo(data) as url, start_chromium(Path(directory, "profile")) as debugging_port:
            time.sleep(TRAFFIC_S)
            asyncio.run(take(url, (data / TOKEN_FILE).read_text().strip(), into, debugging_port))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
