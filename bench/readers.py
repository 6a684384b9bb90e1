"""People who read beside traffic: `python -m bench.readers --data-dir DIR --rate 300 --readers 10
--minutes 5`.

A whole sidelog is started on a store that `bench.queries --records N --payloads` filled
(`--storage sqlite:///sidelog.db`, in that directory). Requests arrive at a fixed rate, and people
ask over the API, each what `QUESTIONS` has, in an order of their own, one after the other. With
`--readers 0` one person asks each question `--rounds` times, and so many `--searchers` beside them
look for words all the time. Printed, and written to `bench/results/`, are milliseconds until the
whole answer, how many were cut, what went wrong, how long requests took through the proxy from
when they were due, and how often the store was declared unavailable.
"""

import argparse
import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import aiohttp

from bench.macro.machine import machine
from bench.macro.measure import percentile
from bench.steady_load import Load, upstream_of
from tests.support.sidelog import Sidelog

QUESTIONS: Final[dict[str, str]] = {
    "newest page": "/api/records?limit=100",
    "errors": "/api/records?limit=100&query=status:5xx",
    "one word of 1e-5": "/api/records?limit=100&query=kernelpanic",
    "one word of 1e-4": "/api/records?limit=100&query=livelock",
    "one word of 1e-3": "/api/records?limit=100&query=quiesced",
    "one word of 1e-2": "/api/records?limit=100&query=deadlock",
    "two words of 1e-2": "/api/records?limit=100&query=deadlock%20ShareLock",
    "phrase": "/api/records?limit=100&query=%22quiesced%20replica%20refused%22",
    "phrase, Chinese": "/api/records?limit=100&query=%E6%95%B0%E6%8D%AE%E5%BA%93%E6%AD%BB%E9%94%81",
    "part of a word": "/api/records?limit=100&query=*eadloc*",
    "beginning of a word": "/api/records?limit=100&query=deadl*",
    "header with a value": "/api/records?limit=100&query=header.x-user:user-3701",
    "body with a value": "/api/records?limit=100&query=body.order.status:shipped",
    "summary": "/api/summary",
    "summary of a word of 1e-2": "/api/summary?query=deadlock",
    "histogram of a day": "/api/histogram?since=24h",
    "endpoints": "/api/endpoints",
    "top by endpoint": "/api/top?by=endpoint",
    "top by model": "/api/top?by=model",
    "top by user": "/api/top?by=user",
    "conversations": "/api/conversations",
    "conversations by cost": "/api/conversations?sort=cost",
    "ledger": "/api/ledger",
}
"""Name → what is asked."""
SEARCHES: Final = ("one word of 1e-2", "phrase", "part of a word", "header with a value")
_ANSWER_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.5
_OK: Final = 200


@dataclass(slots=True)
class Found:
    """What became of all that was asked."""

    took_ms: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    cut: Counter[str] = field(default_factory=Counter)
    """Answers that say that they are not complete."""
    errors: Counter[str] = field(default_factory=Counter)
    away: int = 0
    """Looks at which the store was unavailable."""
    looks: int = 0

    @property
    def answers(self) -> int:
        return sum(map(len, self.took_ms.values()))


@dataclass(slots=True)
class Reading:
    """A sidelog, and people who ask it."""

    sidelog: Sidelog
    session: aiohttp.ClientSession
    found: Found = field(default_factory=Found)
    is_ending: bool = False

    async def ask(self, name: str, found: Found) -> None:
        """Ask one question, and note what became of it."""
        began_s = time.perf_counter()
        headers = {"Authorization": f"Bearer {self.sidelog.token}"}
        try:
            url = self.sidelog.admin_url + QUESTIONS[name]
            async with self.session.get(url, headers=headers) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            found.errors[f"{name}: {type(error).__name__}"] += 1
            return

        if answer.status != _OK:
            found.errors[f"{name}: {answer.status} {body[:200].decode(errors='replace')}"] += 1
            return
        found.took_ms[name].append((time.perf_counter() - began_s) * 1000)
        found.cut[name] += is_cut(body)

    async def read(self, seed: int, names: Iterable[str] = QUESTIONS) -> None:
        """Ask all questions again and again, each time in another order."""
        chance = Random(seed)
        names = list(names)
        while not self.is_ending:
            chance.shuffle(names)
            for name in names:
                if self.is_ending:
                    return
                await self.ask(name, self.found)

    async def look(self) -> None:
        """Look whether the store is there, as an orchestrator does."""
        while not self.is_ending:
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with self.session.get(self.sidelog.admin_url + "/readyz") as answer:
                    self.found.looks += 1
                    self.found.away += b"unavailable" in await answer.read()

            await asyncio.sleep(_LOOK_EVERY_S)


def is_cut(body: bytes) -> bool:
    """Whether an answer says that it is not complete."""
    answer = json.loads(body)
    if not isinstance(answer, dict):
        return False
    return answer.get("complete") is False or answer.get("exact") is False


async def _read_on(reading: Reading, load: Load, options: argparse.Namespace) -> Found:
    """Read for some minutes, or ask each question some rounds; returns what it found."""
    async with asyncio.TaskGroup() as tasks:
        if options.rate:
            tasks.create_task(load.run(), name="load")
        tasks.create_task(reading.look(), name="look")
        for seed in range(options.readers):
            tasks.create_task(reading.read(seed), name=f"reader {seed}")
        for seed in range(options.searchers):
            tasks.create_task(reading.read(seed, SEARCHES), name=f"searcher {seed}")

        # What is read first is not at hand yet.
        await asyncio.sleep(options.warm_s)
        if options.readers:
            reading.found.took_ms.clear()
            reading.found.cut.clear()
            await asyncio.sleep(options.minutes * 60)
            found = reading.found
        else:
            found = Found()
            for name in QUESTIONS:
                for _ in range(options.rounds):
                    await reading.ask(name, found)

            found.errors.update(reading.found.errors)
        reading.is_ending = True
        load.is_ending = True

    found.away = reading.found.away
    found.looks = reading.found.looks
    return found


def show(found: Found, load: Load, seconds: float) -> dict[str, object]:
    """Print what was found, and return it for the results."""
    rows: dict[str, dict[str, float]] = {}
    for name in QUESTIONS:
        took_ms = sorted(found.took_ms[name])
        rows[name] = {
            "answers": len(took_ms),
            "p50_ms": round(percentile(took_ms, 0.5), 1),
            "p95_ms": round(percentile(took_ms, 0.95), 1),
            "cut": found.cut[name],
        }
        print(f"{name:28} {rows[name]}", flush=True)

    proxied_ms = sorted(took_s * 1000 for _, took_s, _ in load.took)
    document: dict[str, object] = {
        "questions": rows,
        "answers_per_s": round(found.answers / seconds, 1),
        "errors": dict(found.errors),
        "requests": load.sent,
        "request_errors": dict(load.errors),
        "looks": found.looks,
        "looks_without_store": found.away,
    }
    if proxied_ms:
        document["proxied_p50_ms"] = round(percentile(proxied_ms, 0.5), 2)
        document["proxied_p99_ms"] = round(percentile(proxied_ms, 0.99), 2)
    print(json.dumps({key: value for key, value in document.items() if key != "questions"}))
    return document


async def _run(options: argparse.Namespace) -> None:
    environ = {"SIDELOG_RING__BYTES": str(64 << 20)}
    if options.storage:
        environ["SIDELOG_STORAGE__URL"] = options.storage
    if options.max_mib:
        environ["SIDELOG_RETENTION__MAX_BYTES"] = str(options.max_mib << 20)
    limit = aiohttp.ClientTimeout(total=_ANSWER_S)
    with (
        upstream_of("examples.demo", "--only-upstream", "127.0.0.1:0") as upstream,
        Sidelog(options.data_dir, upstream, environ=environ) as sidelog,
    ):
        began_s = time.monotonic()
        load = Load(sidelog.port, options.rate)
        async with aiohttp.ClientSession(
            timeout=limit, connector=aiohttp.TCPConnector(limit=0)
        ) as session:
            found = await _read_on(Reading(sidelog, session), load, options)
        seconds = time.monotonic() - began_s - options.warm_s
        document = show(found, load, seconds)
        lines = [json.loads(line) for line in sidelog.log.splitlines() if line.startswith("{")]
        document["log"] = Counter(line["message"] for line in lines if line["level"] != "info")
        print(json.dumps(document["log"], indent=1))

    path = Path("bench/results") / f"readers-{options.name}.json"
    path.write_text(json.dumps({"machine": machine(), **document}, indent=1) + "\n")


def main() -> None:
    """Read as the options say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data-dir",
        type=lambda path: Path(path).resolve(),
        required=True,
        help="of the sidelog; has its filled store",
    )
    parser.add_argument("--storage", default="", help="URL of the store, if it is another one")
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second; 0: idle")
    parser.add_argument("--readers", type=int, default=0, help="people who ask everything")
    parser.add_argument("--searchers", type=int, default=0, help="people who only search")
    parser.add_argument("--minutes", type=float, default=5.0, help="of the readers")
    parser.add_argument("--rounds", type=int, default=15, help="of each question, without readers")
    parser.add_argument("--warm-s", type=float, default=10.0, help="before anything is measured")
    parser.add_argument("--max-mib", type=int, default=0, help="cap of the store")
    parser.add_argument("--name", default="run", help="of the file of results")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
