"""What the first view of each page costs the server: `python -m bench.first_view --directory DIR`, a data directory.

A store is made first (`python -m bench.generate --recent --directory DIR --storage sqlite:///sidelog.db`). A real
sidelog serves it, and a real Chromium with an empty cache opens page after page, until nothing more is asked for. The
server's time of a request is what the browser waited between its end and the head of the answer; the sum over all
requests of a page, scripts and styles included, is what its first view costs. On a busy machine the CPU time of the
process that answers tells more. Results are JSON in `bench/results`.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import ClientSession

from bench.macro.machine import machine
from tests.support.browser import Browser, Page, start_chromium
from tests.support.sidelog import Sidelog

PAGES: Final = (
    *("/", "/?period=24h", "/?period=7d", "/requests", "/requests?facets=1", "/requests?facets=1&period=24h"),
    *("/requests?facets=1&period=7d", "/requests?filter=status:5xx&period=7d", "/requests?filter=service:service-7"),
    *("/endpoints", "/mcp-logs", "/request-logs", "/keys", "/health"),
)
UPSTREAM: Final = "http://127.0.0.1:9"

Waits = list[tuple[str, float]]


def cpu_ms(process_id: int) -> float:
    """Read the CPU time of all threads of a process, exact where clock ticks would be too coarse."""
    tasks = Path(f"/proc/{process_id}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


@dataclass(frozen=True, slots=True)
class View:
    """A first view."""

    waits: Waits
    """What was asked for, with the milliseconds waited for the head of the answer."""
    cpu_ms: float
    """Of the process that serves the admin port."""

    @property
    def server_ms(self) -> float:
        """The sum of all waits."""
        return sum(ms for _, ms in self.waits)

    @property
    def api(self) -> Waits:
        """What was asked of the API, without scripts and styles."""
        return [(path, ms) for path, ms in self.waits if path.startswith("api/")]


async def first_view(page: Page, url: str, server: int) -> View:
    """Open a page and wait until it is still."""
    await page.open("about:blank")
    page.requests.clear()
    page.waits.clear()
    before_ms = cpu_ms(server)
    await page.open(url)
    await page.until("document.querySelector('main h1')")
    await page.quiet()
    assert not page.problems, page.problems
    return View(list(page.waits), cpu_ms(server) - before_ms)


def figures(rounds: list[View]) -> dict[str, object]:
    """Sum up the rounds of a page: medians over rounds, and the requests that take longest."""
    paths = dict.fromkeys(path for view in rounds for path, _ in view.api)
    by_path = {path: statistics.median([dict(view.api).get(path, 0.0) for view in rounds]) for path in paths}
    return {
        "server_ms": round(statistics.median([view.server_ms for view in rounds]), 1),
        "server_ms_best": round(min(view.server_ms for view in rounds), 1),
        "server_ms_worst": round(max(view.server_ms for view in rounds), 1),
        "api_ms": round(statistics.median([sum(ms for _, ms in view.api) for view in rounds]), 1),
        "cpu_ms": round(statistics.median([view.cpu_ms for view in rounds]), 1),
        "requests": statistics.median_high([len(view.waits) for view in rounds]),
        "api_requests": statistics.median_high([len(view.api) for view in rounds]),
        "slowest_ms": {path: round(ms, 1) for path, ms in sorted(by_path.items(), key=lambda item: -item[1])[:3]},
    }


async def _run(port: int, sidelog: Sidelog, rounds: int) -> dict[str, object]:
    found: dict[str, list[View]] = {path: [] for path in PAGES}
    (server,) = sidelog.pids("proxy.collector")
    async with ClientSession() as session:
        for number in range(rounds):
            async with Browser(session, port).page(width=1440) as page:
                await page.call("Network.setCacheDisabled", cacheDisabled=True)
                await page.open(f"{sidelog.admin_url}/login#token={sidelog.token}")
                await page.until("location.pathname === '/' && document.querySelector('main h1')")
                await page.quiet()
                for path in PAGES:
                    found[path].append(await first_view(page, sidelog.admin_url + path, server))
            print(f"round {number + 1} of {rounds}", flush=True)
    return {path: figures(views) for path, views in found.items()}


def main() -> None:
    """Measure the store that the options name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="data directory with a store in it")
    parser.add_argument("--storage", default="sqlite:///sidelog.db", help="storage URL")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    environ = {
        "SIDELOG_STORAGE__URL": options.storage,
        "SIDELOG_STORAGE__TEXT_INDEX": "false",  # it would be made meanwhile, in the process that is measured
        "SIDELOG_RETENTION__MAX_BYTES": "0",
    }
    with (
        tempfile.TemporaryDirectory() as profile,
        Sidelog(options.directory, UPSTREAM, environ=environ) as sidelog,
        start_chromium(Path(profile)) as port,
    ):
        total = sidelog.api("/api/summary")
        records = total["exchanges"] + total["events"]
        pages = asyncio.run(_run(port, sidelog, options.rounds))
    for name, page in pages.items():
        print(name, page)
    backend = options.storage.partition(":")[0]
    document = {
        "machine": machine(),
        "load": os.getloadavg()[0],
        "backend": backend,
        "records": records,
        "rounds": options.rounds,
        "pages": pages,
    }
    path = Path("bench/results") / f"first-view-{backend}-{records}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
