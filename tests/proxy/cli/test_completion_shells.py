"""The completion scripts in their shells: typed words, and the line after a tab."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.programs import PROGRAM_S, find
from tests.support.sidelog import ROOT

WAIT_S: Final = 120.0
SHOW: Final = 'show() { print -r -- "<<<$BUFFER>>>" }; zle -N show; bindkey "^Xb" show'
SETUP: Final = (
    "autoload -Uz compinit; compinit -u -D; setopt no_beep",
    'eval "$(sidelog completion zsh)"',
    SHOW,
    'print "<<<""ready"">>>"',
)


def environment(directory: Path, shell: str) -> dict[str, str]:
    """Return an environment that runs the tested program as `sidelog`."""
    find(shell)
    program = directory / "bin" / "sidelog"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nexec env PYTHONPATH="{ROOT}" "{sys.executable}" -m proxy "$@"\n'
    )
    program.chmod(0o755)
    (directory / "notes.toml").touch()
    path = f"{program.parent}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(directory), "TERM": "dumb"}


class Terminal:
    """A zsh that somebody types into."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def type(self, text: str, until: str) -> str:
        """Type, and return what is shown once `until` is."""
        os.write(self._descriptor, text.encode())
        shown = ""
        deadline = time.monotonic() + WAIT_S

        while until not in shown:
            left_s = deadline - time.monotonic()
            assert left_s > 0, shown
            if select.select([self._descriptor], [], [], left_s)[0]:
                shown += os.read(self._descriptor, 65536).decode(errors="replace")

        return shown

    def completed(self, typed: str) -> str:
        """Return what stands in the line after a tab; the line is empty again afterwards."""
        # Keys are read one after the other: the widget runs when the completion is there.
        shown = self.type(f"{typed}\t\x18b", ">>>")
        self.type("\x15", "")
        return shown.rpartition("<<<")[2].partition(">>>")[0]


@contextmanager
def zsh(directory: Path) -> Iterator[Terminal]:
    given = environment(directory, "zsh")
    process, descriptor = pty.fork()
    if process == 0:
        os.chdir(directory)
        os.execvpe("zsh", ["zsh", "-f", "-i"], given)
    terminal = Terminal(descriptor)
    try:
        terminal.type("\n".join((*SETUP, "")), "<<<ready>>>")
        yield terminal
    finally:
        os.close(descriptor)  # a hang-up ends it
        os.waitpid(process, 0)


def test_zsh_completes_commands_options_and_files(tmp_path: Path) -> None:
    """A complete word is followed by a space."""
    with zsh(tmp_path) as terminal:
        for typed, expected in (
            ("sidelog que", "sidelog query "),
            ("sidelog query --stat", "sidelog query --status "),
            ("sidelog serve --config no", "sidelog serve --config notes.toml "),
        ):
            assert terminal.completed(typed) == expected


def test_fish_completes_commands_options_and_files(tmp_path: Path) -> None:
    given = environment(tmp_path, "fish")
    asked = ("que", "query --stat", "serve --config no")
    lines = "; ".join(f'complete -C "sidelog {words}"; echo =' for words in asked)
    script = f"sidelog completion fish | source; {lines}"
    run = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=given, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=PROGRAM_S,
    )  # fmt: skip
    offered = [
        [line.split("\t")[0] for line in answer.split("\n")] for answer in run.stdout.split("\n=\n")
    ]
    assert offered == [["query"], ["--status"], ["notes.toml"], [""]]
