"""What tests of the command line share."""

import pytest

from proxy.cli.commands import served_store
from proxy.cli.commands.doctor import doctor, network, store


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the doctor's checks has its say, however busy the machine is: a late one would end
    the tests' process.

    A store that is read beside the tests has its time to close.
    """
    monkeypatch.setattr(doctor.run_checks, "__defaults__", (60.0,))
    monkeypatch.setattr(network, "CONNECT_S", 60.0)
    monkeypatch.setattr(store, "SQLITE_CHECK_S", 60.0)
    monkeypatch.setattr(served_store, "_STOP_S", 60.0)
