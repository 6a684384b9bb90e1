"""On a core they share, workers go before the collector."""

import os
from pathlib import Path

from tests.support.sidelog import Sidelog


def test_the_collector_yields_to_workers(tmp_path: Path, upstream: str) -> None:
    """Its scheduling priority is the setting's; workers and supervisor keep theirs."""
    config = tmp_path / "c.toml"
    config.write_text("[collector]\nnice = 7\n")
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with Sidelog(tmp_path / "data", upstream, "--config", str(config)) as sidelog:
        assert sidelog.process is not None
        (collector,) = sidelog.pids("proxy.collector")
        assert os.getpriority(os.PRIO_PROCESS, collector) == min(19, own + 7)
        for pid in (*sidelog.pids("proxy.worker"), sidelog.process.pid):
            assert os.getpriority(os.PRIO_PROCESS, pid) == own
