"""A Prometheus that scrapes sidelog and reads its histograms, and the page that explains what it
finds.
"""

import math
import random
import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.support.programs import find
from tests.support.prometheus import Prometheus, scraping
from tests.support.sidelog import ROOT, Sidelog, eventually

BUCKET: Final = 2.5
"""How far apart two values of one bucket can be."""
REQUESTS: Final = 240


def last_errors(prometheus: Prometheus) -> list[str] | None:
    """What was wrong with the newest scrape of each target; None while that cannot be asked."""
    data = prometheus.ask("targets")
    if data:
        return [target["lastError"] for target in data["activeTargets"]]
    return None


@pytest.mark.long
def test_prometheus_tells_the_quantiles_from_histograms(tmp_path: Path, upstream: str) -> None:
    """The value it tells is in the bucket of the exact one."""
    find("prometheus")
    chance = random.Random(14)
    waits_s = [math.exp(chance.uniform(math.log(0.002), math.log(0.3))) for _ in range(REQUESTS)]

    with (
        Sidelog(
            tmp_path / "data", upstream, environ={"SIDELOG_STORAGE__BATCH_MAX_AGE_MS": "20"}
        ) as sidelog,
        scraping(tmp_path, f"127.0.0.1:{sidelog.admin_port}") as prometheus,
        ThreadPoolExecutor(8) as threads,
    ):

        def get(wait_s: float) -> None:
            urllib.request.urlopen(f"{sidelog.url}/slow?s={wait_s}", timeout=60).read()

        list(threads.map(get, waits_s))
        assert sidelog.settled_ledger()["stored"] >= REQUESTS
        count = 'sidelog_request_duration_seconds_count{route="default"}'
        eventually(lambda: prometheus.value(count) == REQUESTS)
        exact_s = sorted(record["duration_us"] / 1_000_000 for record in sidelog.records())

        for quantile in (0.5, 0.95, 0.99):
            query = f"histogram_quantile({quantile}, sidelog_request_duration_seconds_bucket)"
            told = eventually(partial(prometheus.value, query))
            exact = exact_s[math.ceil(quantile * REQUESTS) - 1]
            assert exact / BUCKET <= told <= exact * BUCKET, (quantile, exact, told)

        # A scrape has a second, also for what it asks of other processes: a busy machine misses
        # some.
        eventually(lambda: prometheus.value("sum(sidelog_requests_total)") == REQUESTS)
        eventually(lambda: prometheus.value("up") == 1)
        eventually(lambda: last_errors(prometheus) == [""])


def test_every_family_is_on_its_page(tmp_path: Path, upstream: str) -> None:
    """What a scrape shows is explained."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    with Sidelog(tmp_path / "data", upstream) as sidelog:
        text = urllib.request.urlopen(f"{sidelog.admin_url}/metrics", timeout=60).read().decode()
    names = set(re.findall(r"^# TYPE sidelog_(\w+)", text, re.MULTILINE))
    assert len(names) > 40
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []
