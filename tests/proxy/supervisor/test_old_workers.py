"""Workers of before a reload serve their last clients to the end, however many reloads follow."""

import os
import signal
from functools import partial

import pytest

from proxy.supervisor.children import Worker
from proxy.supervisor.supervisor import Supervisor
from tests.proxy.supervisor.test_supervisor import all_ready, pid, run, until


def has_reloaded(supervisor: Supervisor, times: int) -> bool:
    return supervisor._reloads["done"] == times and all_ready(supervisor)


def staying(worker: Worker, line: str, descriptors: list[int] | None = None) -> None:
    """Say nothing to a worker that retires: it has a client that stays."""
    if line != "retire" and worker.control is not None:
        worker.control.send(line, descriptors)


def test_no_reload_cuts_off_clients_of_one_before(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old workers run on, however many reloads follow; the stop ends them."""
    told: list[str] = []

    def noted(worker: Worker, line: str, descriptors: list[int] | None = None) -> None:
        told.append(line)
        staying(worker, line, descriptors)

    def steps() -> None:
        until(lambda: all_ready(supervised))
        monkeypatch.setattr(Worker, "send", noted)
        for number in range(1, 4):
            os.kill(os.getpid(), signal.SIGHUP)
            until(partial(has_reloaded, supervised, number))
        assert len(supervised._leaving) == 6
        assert all(pid(worker) for worker in supervised._leaving)
        assert "drain" not in told

    assert run(supervised, steps) == 0
    assert told.count("drain") == 8


def test_beside_too_many_old_workers_a_reload_is_refused(
    supervised: Supervisor, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It says how many there are, and how many may be; once they have ended, the next one
    works.
    """
    monkeypatch.setattr("proxy.supervisor.reload.LEAVE_S", 0.05)
    monkeypatch.setattr("proxy.supervisor.reload.MAX_OLD_WORKERS", 2)

    def steps() -> None:
        until(lambda: all_ready(supervised))
        with monkeypatch.context() as crowded:
            crowded.setattr(Worker, "send", staying)
            os.kill(os.getpid(), signal.SIGHUP)
            until(lambda: supervised._reloads["done"] == 1 and all_ready(supervised))
            before = [pid(worker) for worker in supervised._workers]
            old = list(supervised._leaving)
            os.kill(os.getpid(), signal.SIGHUP)
            until(lambda: supervised._reloads["refused"] == 1)
            assert [pid(worker) for worker in supervised._workers] == before
            assert all(pid(worker) for worker in old)

        for worker in old:
            worker.send("drain")
        until(lambda: not supervised._leaving)
        os.kill(os.getpid(), signal.SIGHUP)
        until(lambda: supervised._reloads["done"] == 2)

    assert run(supervised, steps) == 0
    refusal = "keeping the current settings: 2 old workers still serve streams, the limit is 2"
    assert capfd.readouterr().err.count(refusal) == 1
