"""Settings that the doctor has nothing to say against."""

from pathlib import Path

import pytest

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
