"""Replicas of ClickHouse under a sidecar: each of them, and their coordinator, may die at any
moment under load.
"""

import time
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.e2e.test_clickhouse import STEPS_S, reason
from tests.e2e.test_kill import check_accounts
from tests.e2e.test_store_away import ENVIRON, balanced
from tests.support.clickhouse_cluster import own_cluster
from tests.support.load import PAUSE_S, Load, await_more
from tests.support.sidelog import Sidelog, eventually

pytestmark = [pytest.mark.clickhouse, pytest.mark.timeout(600)]

PAUSES_S = (0.2, 0.5, 1.1)


def check_accounts_in_the_end(sidelog: Sidelog, completed: list[str]) -> None:
    """Check the accounts until they hold, as long as it may take.

    A read may meet a replica that was just killed, and is told to try again; or one that has come
    back, and fetches what it lacks after 11 s at most.
    """
    ends_s = time.monotonic() + STEPS_S
    while True:
        try:
            check_accounts(sidelog, completed, is_dense=False)
        except (HTTPError, AssertionError):
            if time.monotonic() > ends_s:
                raise
            time.sleep(0.5)
        else:
            return


@pytest.mark.parametrize(
    "rounds", [3, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
)
def test_kills_of_replicas_and_coordinator_lose_and_double_nothing(
    tmp_path: Path, upstream: str, rounds: int
) -> None:
    """Whoever is killed, every exchange a client got completely is stored exactly once."""
    with own_cluster() as cluster:
        first, second = cluster.servers
        victims = (first, cluster.zookeeper, second)
        url = cluster.url(cluster.database())

        environ = {
            **ENVIRON,
            "SIDELOG_STORAGE__URL": url,
            "SIDELOG_STORAGE__BATCH_MAX_AGE_MS": "100",
        }
        with Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
            with Load(sidelog.port, pause_s=PAUSE_S) as load:
                for number in range(rounds):
                    await_more(load.completed, 20)
                    victim = victims[number % len(victims)]
                    time.sleep(PAUSES_S[number % len(PAUSES_S)])
                    victim.kill()
                    await_more(load.completed, 20)
                    victim.start()

                before = balanced(sidelog)["stored"]
                eventually(lambda: balanced(sidelog)["stored"] > before, STEPS_S)

            eventually(lambda: not reason(sidelog), STEPS_S)
            eventually(lambda: balanced(sidelog)["spooled"] == 0, STEPS_S)
            check_accounts_in_the_end(sidelog, load.completed)
