"""grpcio calls on while sidelog is reloaded and restarted: no call fails, no stream ends early,
each is on record.
"""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.test_reload import reload
from tests.e2e.test_restarts import activated
from tests.realworld.programs import SERVERS, client_environ, python_program
from tests.realworld.test_grpc import service
from tests.support.sidelog import Sidelog

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(900)]

STREAMS, CALLS_A_SECOND, CHANGES = 200, 500, 5
PAUSE_S = 4.0
"""Between changes: each stream takes half of it."""


def restart(sidelog: Sidelog) -> None:
    """Stop and start it behind sockets that stay."""
    sidelog.stop()
    sidelog.start()


@pytest.mark.parametrize("change", [reload, restart])
def test_no_call_fails(tmp_path: Path, change: Callable[[Sidelog], None]) -> None:
    """Of 200 streams that are open, and 500 calls a second beside."""
    with service(tmp_path) as target:
        plain = Sidelog(tmp_path / "data", f"http://{target}", "--workers", "2")
        with activated(plain) as sidelog:
            at = f"127.0.0.1:{sidelog.port}"
            crowd = subprocess.Popen(
                [
                    python_program(),
                    str(SERVERS / "grpc_crowd.py"),
                    at,
                    str(STREAMS),
                    str(CALLS_A_SECOND),
                ],
                env=client_environ(tmp_path),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(CHANGES):
                time.sleep(PAUSE_S)
                change(sidelog)
            time.sleep(PAUSE_S)
            told = json.loads(crowd.communicate(timeout=240)[0])
            ledger = sidelog.settled_ledger()
            records = sidelog.records()

    assert told["failed"] == {}
    assert told["done"]["streams"] >= STREAMS
    # Of streams with more than 100 messages a second.
    assert ledger["dropped"].keys() <= {"message_limit"}
    recorded = Counter(
        (record["path"], record["outcome"], record["grpc"]["status"]) for record in records
    )
    assert recorded == {
        ("/test.Service/Echo", "ok", 0): told["done"]["calls"],
        ("/test.Service/Chat", "ok", 0): told["done"]["streams"],
    }
    assert "Traceback" not in sidelog.log
