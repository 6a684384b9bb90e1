"""Settings that the doctor has nothing to say against."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.cli.commands.doctor.finding import Finding
from proxy.process.data_dir import LISTENS_NAME, lock_data_dir, update_state
from proxy.settings.load import load
from proxy.settings.model import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Valid settings with a private data directory and free ports."""
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    overrides = {
        "proxy.upstream": "http://app",
        "proxy.listen": "127.0.0.1:0",
        "admin.listen": "127.0.0.1:0",
    }
    return load(overrides | {"data_dir": str(directory)}, {}, None)


def changed(settings: Settings, **changes: Any) -> Settings:
    """Settings with other values; those of a section are a dictionary."""
    for name, value in changes.items():
        if isinstance(value, dict):
            changes[name] = msgspec.structs.replace(getattr(settings, name), **value)
    return msgspec.structs.replace(settings, **changes)


def states(findings: Iterable[Finding]) -> list[str]:
    """Only the verdicts."""
    return [finding.state for finding in findings]


@contextmanager
def running(settings: Settings, **listens: int | str) -> Iterator[None]:
    """A sidelog that holds the data directory, and says that it listens there."""
    directory = Path(settings.data_dir)
    data = lock_data_dir(directory)
    places = {name.replace("__", "."): place for name, place in listens.items()}
    update_state(directory, **{LISTENS_NAME: places})
    try:
        yield
    finally:
        os.close(data.lock_fd)
