"""What processes use is told as other exporters tell it."""

import os
import time
from pathlib import Path

import psutil

from api.metrics.metrics import Metrics
from api.metrics.process_usage import read_usage, usage_families
from tests.api.metrics.test_metrics import samples

NO_PID = (1 << 22) + 1
"""Above the greatest a kernel gives."""


def test_a_process_is_read_as_others_read_it() -> None:
    """This one, beside psutil."""
    usage = read_usage(os.getpid())
    assert usage is not None
    me = psutil.Process()
    assert abs(usage.start_s - me.create_time()) < 2
    assert usage.start_s < time.time()
    times = me.cpu_times()
    assert 0 < usage.cpu_s <= times.user + times.system + 0.1
    assert usage.resident_bytes > 1 << 20
    assert usage.virtual_bytes >= usage.resident_bytes
    assert usage.open_fds is not None
    assert abs(usage.open_fds - me.num_fds()) <= 3
    assert usage.max_fds == me.rlimit(psutil.RLIMIT_NOFILE)[0]


def test_a_name_may_hold_anything(tmp_path: Path) -> None:
    """Blanks and brackets in it do not shift the fields; descriptors of another user's process are
    not known.
    """
    folder = tmp_path / "7"
    folder.mkdir()
    (tmp_path / "stat").write_text("cpu 1 2\nbtime 1000\n")
    fields = ["S", *("0" * 10), "150", "50", *("0" * 6), "300", "4096", "2", "0"]
    (folder / "stat").write_text(f"7 (a ) b) {' '.join(fields)}\n")
    (folder / "limits").write_text(
        "Limit  Soft\nMax open files            unlimited            unlimited   files\n"
    )
    usage = read_usage(7, tmp_path)
    assert usage is not None
    ticks = os.sysconf("SC_CLK_TCK")
    assert (usage.cpu_s, usage.start_s) == (200 / ticks, 1000 + 300 / ticks)
    assert (usage.virtual_bytes, usage.resident_bytes) == (4096, 2 * os.sysconf("SC_PAGE_SIZE"))
    assert (usage.open_fds, usage.max_fds) == (None, None)


def test_each_process_has_its_label_and_one_that_is_gone_none() -> None:
    """In the families every exporter has."""
    metrics = Metrics()
    metrics.watch(lambda: usage_families({"collector": os.getpid(), "worker 0": NO_PID}))
    read = samples(metrics.render("", None)[0].decode())
    names = (
        "process_cpu_seconds_total", "process_start_time_seconds", "process_resident_memory_bytes",
        "process_virtual_memory_bytes", "process_open_fds", "process_max_fds",
    )  # fmt: skip
    for name in names:
        assert read[name, "collector"] > 0
        assert (name, "worker 0") not in read
