"""Records on terminals of several widths: whole ids, no wrapped lines, nothing that moves the cursor."""

import io
from typing import Any

import pytest
from rich.console import Console

from proxy.cli.commands import listing
from proxy.cli.commands.listing import line_of, print_records
from proxy.cli.commands.output import WIDE_COLUMNS

ID = "01a1f8cc-74e8-77fe-86e2-1cc5def00007"


def record(**changes: Any) -> dict[str, Any]:
    """A record as the API shows one."""
    shown = {"id": ID, "kind": "exchange", "started_at": "2026-01-02T03:04:05.678Z", "status": 502, "level": "error"}
    shown |= {"method": "POST", "host": "app.example", "path": "/v1/" + "long/" * 40, "outcome": "upstream_error"}
    return {**shown, "duration_us": 1_234_567, **changes}


ODD = (
    record(),
    record(path="/x\x1b[31m\r\n", method=None, status=None, duration_us=None),
    record(kind="event", name="gap", started_at=None, outcome=None),
)


@pytest.fixture(params=[80, 100, 120, 200])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Console:
    """A terminal of a width, colours and all."""
    width: int = request.param
    made = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system="standard", highlight=False, markup=False
    )
    monkeypatch.setattr(listing, "console", lambda: made)
    return made


def plain(terminal: Console) -> str:
    """What was printed, without its colours."""
    from rich.text import Text

    assert isinstance(terminal.file, io.StringIO)
    return Text.from_ansi(terminal.file.getvalue()).plain


def test_a_table_fits_and_ids_are_whole(terminal: Console) -> None:
    """One line a record and one of titles, none wider than the terminal, each with an id that `get` takes."""
    print_records(list(ODD))
    lines = plain(terminal).splitlines()
    assert len(lines) == len(ODD) + 1
    assert all(len(line) <= terminal.width for line in lines)
    assert all(ID in line or ID.replace("-", "") in line for line in lines[1:])
    assert all(word in lines[1] for word in ("502", "1234.6", "POST"))
    assert "…" in lines[1]  # the path is what gives way


@pytest.mark.parametrize("row", ODD)
def test_a_line_of_a_live_list_holds_the_id(terminal: Console, row: dict[str, Any]) -> None:
    """On a narrow terminal it fits; everywhere it is one line without control characters."""
    from rich.text import Text

    line = Text.from_ansi(line_of(row)).plain
    assert ID in line or ID.replace("-", "") in line
    assert line.isprintable()
    assert len(line) <= terminal.width or terminal.width >= WIDE_COLUMNS
