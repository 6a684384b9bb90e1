"""Costs of a process tree, from /proc."""

import os
import subprocess
import sys
import time

from bench.macro.measure import (
    TICKS_PER_S,
    ProcessCost,
    cpu_by_role,
    descendants,
    memory_by_role,
    memory_sampled,
    parse_memory,
    parse_stat,
    percentile,
    role_of,
    tree,
)


def cost(pid: int, role: str, cpu_s: float) -> ProcessCost:
    """Return a reading of one process."""
    return ProcessCost(pid=pid, role=role, cpu_s=cpu_s, rss_bytes=10, shared_bytes=5)


def test_stat_is_read_behind_a_command_with_brackets_and_spaces() -> None:
    """The command field may look like the end of itself; children that have ended count."""
    text = "17 (a) b (c)) S 4 17 17 0 -1 4194304 1 0 0 0 150 50 7 9 20 0 1 0 100"
    assert parse_stat(text) == (4, 216 / TICKS_PER_S)


def test_shared_pages_are_counted_apart() -> None:
    """Own memory is anonymous and file pages; a zombie has no figures."""
    assert parse_memory("RssAnon:\t 100 kB\nRssFile:\t 20 kB\nRssShmem:\t 8 kB\n") == (120 * 1024, 8 * 1024)
    assert parse_memory("Name:\tgone\n") == (0, 0)


def test_roles_are_told_by_the_command_line() -> None:
    """sidelog's three kinds of process are counted each for itself."""
    assert role_of("python -m proxy.worker --index 0") == "worker"
    assert role_of("python -m proxy.collector") == "collector"
    assert role_of("python -m proxy.supervisor") == "supervisor"
    assert role_of("nginx: worker process") == "proxy"


def test_descendants_are_found_at_any_depth() -> None:
    """Grandchildren count, strangers do not."""
    assert descendants(2, {2: 1, 3: 2, 4: 3, 5: 1}) == {2, 3, 4}


def test_cost_is_the_difference_of_two_readings_by_role() -> None:
    """A process that was born between the readings counts whole."""
    before = [cost(1, "worker", 1.0), cost(2, "collector", 2.0)]
    after = [cost(1, "worker", 1.5), cost(2, "collector", 2.25), cost(3, "worker", 0.25)]
    assert cpu_by_role(before, after) == {"worker": 0.75, "collector": 0.25}
    assert memory_by_role(after) == {"worker": 20, "collector": 10}


def test_the_tree_of_a_real_process_holds_its_child() -> None:
    """Reading /proc finds this process and the one it started."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = {process.pid: process for process in tree(os.getpid())}
        assert found[child.pid].role == "proxy"
        assert found[os.getpid()].rss_bytes > 1024 * 1024
        child.communicate(b"\n")


def test_memory_is_sampled_until_the_block_ends() -> None:
    """Each sample is that of the whole tree, by role."""
    with memory_sampled(os.getpid(), 0.001) as samples:
        while len(samples["proxy"]) < 2:
            time.sleep(0.001)
    assert min(samples["proxy"]) > 1024 * 1024


def test_percentiles_are_of_the_sorted_values() -> None:
    """The last value is the highest percentile; nothing has none."""
    assert percentile(list(range(100)), 0.99) == 99
    assert percentile([7], 0.5) == 7
    assert percentile([], 0.99) == 0
