"""Output of commands: harmless on a terminal, and unchanged in a pipe."""

import io
import json
import sys

import pytest

from proxy.cli.commands.output import Verbatim, complain, say, say_json

HOSTILE = "\x1b]0;pwned\x07\x9b2J\u202eü"
SHOWN = "\\x1b]0;pwned\\x07\\x9b2J\\u202eü"


def test_lines_are_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    """On both streams, for text of records, errors and events."""
    say(HOSTILE)
    complain(HOSTILE)
    assert capsys.readouterr() == (f"{SHOWN}\n", f"{SHOWN}\n")


def test_complaints_show_no_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    """Of any address in them; other words keep what they have."""
    complain("no response from 'http://user:PW@host:1/': refused; is user:a@b.c right?")
    assert capsys.readouterr().err == (
        "no response from 'http://[REDACTED]@host:1/': refused; is user:a@b.c right?\n"
    )


def test_json_is_harmless_and_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Spelt out as JSON does."""
    say_json({HOSTILE: HOSTILE})
    written = capsys.readouterr().out
    assert not {"\x1b", "\x9b", "\u202e"} & set(written)
    assert json.loads(written) == {HOSTILE: HOSTILE}


@pytest.mark.parametrize("is_terminal", [True, False])
def test_bytes_are_raw_on_a_pipe_only(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    """A terminal gets text, also for characters split over two pieces and for invalid bytes."""
    raw = HOSTILE.encode() + b"\xff\n"

    class Stdout(io.TextIOWrapper):
        def isatty(self) -> bool:
            return is_terminal

    stdout = Stdout(io.BytesIO(), encoding="utf-8", newline="\n")
    monkeypatch.setattr(sys, "stdout", stdout)
    out = Verbatim()
    for byte in raw:
        out.write(bytes([byte]))
    out.flush()
    assert stdout.buffer.getvalue() == (f"{SHOWN}\\xff\n".encode() if is_terminal else raw)  # type: ignore[attr-defined]
