"""`sidelog conversations` over a store that no sidelog runs on."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from proxy.cli.commands import output
from storage.backends import open_storage
from storage.record import Batch, Entry, Payload, format_id
from tests.proxy.cli.conftest import Run
from tests.storage.samples import make_body, make_record

ID = bytes([7]) * 16
ASKED = make_body(b'{"messages":[{"role":"user","content":"Make the tests pass"}]}')


pytestmark = pytest.mark.usefixtures("data_dir")


@pytest.fixture
async def data_dir(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data directory with two conversations; of one, the second of three calls reports a failed
    tool, and the last failed.
    """
    said = b'{"error_message": "run: permission denied"}'
    reports: dict[str, object] = {"level": "warn", "error_type": "tool_error", "data": said}
    refused: dict[str, object] = {"level": "error", "status": 529, "error_type": "overloaded"}
    monkeypatch.setenv("SIDELOG_DATA_DIR", str(empty))
    async with await open_storage("sqlite:///sidelog.db", empty) as storage:
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


def test_a_line_each(run: Run) -> None:
    """Turns, failures, tokens, cost and what it is about; single calls can be left out, and filters
    hold.
    """
    line = next(line for line in run("conversations").out.splitlines() if format_id(ID) in line)
    for part in (" 3 ", " 2 ", "3,000", "$1.5000", "gpt", "Make the tests pass"):
        assert part in line
    assert "alone" in run("conversations").out
    assert "alone" not in run("conversations --min-turns 2").out
    assert "Make" not in run("conversations --model alone").out


@pytest.mark.parametrize("width", [60, 80, 160, 240])
def test_the_list_fits_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """A narrow one has fewer columns; an id can always be copied, and still opens."""
    out = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width)
    monkeypatch.setattr(output, "console", lambda: out)
    run("conversations")
    assert isinstance(out.file, io.StringIO)
    head, *lines = out.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    line = next(line for line in lines if ID.hex()[:16] in line.replace("-", ""))
    [shown] = [
        part
        for part in line.split()
        if ID.hex().startswith(part.replace("-", "")) and len(part) >= 16
    ]
    assert "turns     3" in run(f"conversations {shown}").out
    assert "Make" in line
    assert ("cost" in head, "model" in head, "input" in head) == (True, width >= 160, width >= 160)


def test_the_dearest_run_can_be_asked_for(run: Run) -> None:
    """Sorted by a figure, and opened by the beginning of its id."""
    first = run("conversations --sort cost --limit 1").out.splitlines()[1]
    assert format_id(ID) in first
    assert "alone" in run("conversations --limit 1").out
    assert "turns     3" in run(f"conversations {ID.hex()[:7]}").out


def test_what_is_not_known_is_no_nought(run: Run) -> None:
    """A call that reported no tokens may have used some."""
    line = next(line for line in run("conversations").out.splitlines() if "alone" in line)
    assert line.split()[3:8] == ["1", "0", "–", "–", "–"]
    assert "tokens    –\n" in run(f"conversations {format_id(bytes(16))}").out


def test_one_that_opens(run: Run) -> None:
    """Its sums, where it failed, and its calls in order."""
    shown = run(f"conversations {format_id(ID)}").out
    for part in (
        "--html FILE, or the web UI",
        "turns     3, 2 failed",
        "models    gpt 3",
        "cost      $1.5000",
        "529  overloaded",
        "tool_error: run: permission denied",
    ):
        assert part in shown

    calls = json.loads(run(f"conversations {format_id(ID)} --json").out)["calls"]
    assert [call["status"] for call in calls] == [200, 200, 529]


def test_runs_with_failures_or_of_a_cost_can_be_asked_for(run: Run) -> None:
    """Others are left out."""
    for option in ("--min-failed 1", "--min-cost 1.5"):
        shown = run(f"conversations {option}").out
        assert "Make" in shown
        assert "alone" not in shown
    assert "Make" not in run("conversations --min-cost 1.51").out


def test_a_run_is_written_into_a_file(run: Run, tmp_path: Path) -> None:
    """The whole run; an unknown id is an error, and so is a missing one."""
    path = tmp_path / "run.html"
    run(f"conversations {format_id(ID)} --html {path}")
    assert "Make the tests pass" in path.read_text()
    run(f"conversations --html {path}", code=2)
    run(f"conversations {'f' * 32} --html {tmp_path}/no", code=1)
    assert not (tmp_path / "no").exists()
