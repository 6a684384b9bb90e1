"""Results of a replay, in their file."""

import os
from pathlib import Path

import pytest

from proxy.cli.commands.files.report import Report
from proxy.cli.commands.files.results import Results
from proxy.cli.commands.output import CommandError


def test_a_file_that_is_refused_is_closed(tmp_path: Path) -> None:
    """One of another replay, or of none."""
    path = tmp_path / "results.ndjson"
    before = len(os.listdir("/proc/self/fd"))
    for text in ('{"replay": {"of": "a"}}\n', "no results"):
        path.write_text(text)
        with pytest.raises(CommandError) as refusal:
            Results(path, {"of": "b"}, Report().add)
        assert len(os.listdir("/proc/self/fd")) == before, refusal
