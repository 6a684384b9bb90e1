"""`sidelog conversations` over a store that no sidelog runs on."""

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from proxy.cli.commands import listing, output
from proxy.cli.program import program
from storage.backends import open_storage
from storage.record import Batch, Entry, Payload, format_id
from tests.storage.samples import make_body, make_record

ID = bytes([7]) * 16
ASKED = make_body(b'{"messages":[{"role":"user","content":"Make the tests pass"}]}')


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    """A data directory with two conversations; of one, the second of three calls reports a failed
    tool, and the last failed.
    """
    said = b'{"error_message": "run: permission denied"}'
    reports: dict[str, object] = {"level": "warn", "error_type": "tool_error", "data": said}
    refused: dict[str, object] = {"level": "error", "status": 529, "error_type": "overloaded"}
    async with await open_storage("sqlite:///sidelog.db", tmp_path) as storage:
        for fields in ({}, reports, refused):
            record = make_record(
                conversation=ID, provider="openai", model="gpt", input_tokens=1000, cost_usd=0.5
            )
            for name, value in fields.items():
                setattr(record, name, value)
            payload = Payload(b"POST / HTTP/1.1", b"HTTP/1.1 200 OK", ASKED, None)
            await storage.commit(Batch("sidecar-1", [Entry(record, payload)]))

        alone = make_record(conversation=bytes(16), provider="openai", model="alone")
        await storage.commit(Batch("sidecar-1", [Entry(alone)]))

    return tmp_path


def told(data_dir: Path, *arguments: str) -> str:
    """Run the command and return what it prints."""
    run = CliRunner().invoke(
        program, ["conversations", *arguments, "--data-dir", str(data_dir)], env={"COLUMNS": "200"}
    )
    assert run.exit_code == 0, run.output
    return run.output


def test_a_line_each(data_dir: Path) -> None:
    """Turns, failures, tokens, cost and what it is about; single calls can be left out, and filters
    hold.
    """
    line = next(line for line in told(data_dir).splitlines() if format_id(ID) in line)
    for part in (" 3 ", " 2 ", "3,000", "$1.5000", "gpt", "Make the tests pass"):
        assert part in line
    assert "alone" in told(data_dir)
    assert "alone" not in told(data_dir, "--min-turns", "2")
    assert "Make" not in told(data_dir, "--model", "alone")


@pytest.mark.parametrize("width", [60, 80, 160, 240])
def test_the_list_fits_the_terminal(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """A narrow one has fewer columns; an id can always be copied, and still opens."""
    out = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width)
    for module in (listing, output):
        monkeypatch.setattr(module, "console", lambda: out)
    CliRunner().invoke(program, ["conversations", "--data-dir", str(data_dir)])
    assert isinstance(out.file, io.StringIO)
    head, *lines = out.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    line = next(line for line in lines if ID.hex()[:16] in line.replace("-", ""))
    [shown] = [
        part
        for part in line.split()
        if ID.hex().startswith(part.replace("-", "")) and len(part) >= 16
    ]
    assert "turns     3" in told(data_dir, shown)
    assert "Make" in line
    assert ("cost" in head, "model" in head, "input" in head) == (True, width >= 160, width >= 160)


def test_the_dearest_run_can_be_asked_for(data_dir: Path) -> None:
    """Sorted by a figure, and opened by the beginning of its id."""
    first = told(data_dir, "--sort", "cost", "--limit", "1").splitlines()[1]
    assert format_id(ID) in first
    assert "alone" in told(data_dir, "--limit", "1")
    assert "turns     3" in told(data_dir, ID.hex()[:7])


def test_what_is_not_known_is_no_nought(data_dir: Path) -> None:
    """A call that reported no tokens may have used some."""
    line = next(line for line in told(data_dir).splitlines() if "alone" in line)
    assert line.split()[3:8] == ["1", "0", "–", "–", "–"]
    assert "tokens    –\n" in told(data_dir, format_id(bytes(16)))


def test_one_that_opens(data_dir: Path) -> None:
    """Its sums, where it failed, and its calls in order."""
    shown = told(data_dir, format_id(ID))
    for part in (
        "--html FILE, or the web UI",
        "turns     3, 2 failed",
        "models    gpt 3",
        "cost      $1.5000",
        "529  overloaded",
        "tool_error: run: permission denied",
    ):
        assert part in shown

    calls = json.loads(told(data_dir, format_id(ID), "--json"))["calls"]
    assert [call["status"] for call in calls] == [200, 200, 529]


def test_runs_with_failures_or_of_a_cost_can_be_asked_for(data_dir: Path) -> None:
    """Others are left out."""
    for arguments in (("--min-failed", "1"), ("--min-cost", "1.5")):
        assert "Make" in told(data_dir, *arguments)
        assert "alone" not in told(data_dir, *arguments)
    assert "Make" not in told(data_dir, "--min-cost", "1.51")


def test_a_run_is_written_into_a_file(data_dir: Path, tmp_path: Path) -> None:
    """The whole run; an unknown id is an error, and so is a missing one."""
    path = tmp_path / "run.html"
    told(data_dir, format_id(ID), "--html", str(path))
    assert "Make the tests pass" in path.read_text()

    for arguments in (("--html", str(path)), ("f" * 32, "--html", str(tmp_path / "no"))):
        run = CliRunner().invoke(
            program, ["conversations", *arguments, "--data-dir", str(data_dir)]
        )
        assert run.exit_code != 0

    assert not (tmp_path / "no").exists()
