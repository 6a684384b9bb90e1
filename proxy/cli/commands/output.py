"""Output of the commands: results on stdout, everything else on stderr, colour only on a terminal.

Invariant: text from records or files reaches a terminal only with its control characters made
visible, so that a logged request cannot move the cursor or retitle the reader's window.
"""

import codecs
import json
import os
import select
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from proxy.process.terminal import json_escaped, visible, without_credentials

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

T = TypeVar("T")
WIDE_COLUMNS: Final = 140
"""Width from which a terminal shows every column."""
GAP: Final = 2
"""Blanks between columns."""
_MAX_PADDED_CHARACTERS: Final = 100
_SCREENS: Final = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


class CommandError(Exception):
    """A command failed: the text for the user, and the exit code of the process."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class ReaderGone(Exception):
    """The reader of stdout has left, as `head` does; the command ends quietly."""


def say(text: str) -> None:
    """Write one line to stdout; raises ReaderGone as `say_styled` does."""
    say_styled(visible(text))


def say_styled(text: str) -> None:
    """Write one line that may contain our own escape sequences, but none from recorded data.

    Raises:
        ReaderGone: the reader of stdout has left.
    """
    try:
        sys.stdout.write(text + "\n")
    except BrokenPipeError as error:
        raise ReaderGone from error


def flush() -> None:
    """Flush stdout; raises ReaderGone as `say` does."""
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error


def leave_stdout() -> None:
    """Discard stdout's buffer, about which the interpreter would otherwise complain when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def check_reader() -> None:
    """Raise ReaderGone if the reader of stdout has left; otherwise only the next write would
    notice.
    """
    watch = select.poll()
    watch.register(sys.stdout.fileno(), 0)  # errors only
    if any(events & select.POLLERR for _, events in watch.poll(0)):
        raise ReaderGone


def complain(text: str) -> None:
    """Write one line to stderr; addresses in it are shown without credentials."""
    words = (without_credentials(word) if "://" in word else word for word in text.split(" "))
    sys.stderr.write(visible(" ".join(words)) + "\n")


def show_in_browser(address: str) -> None:
    """Open an address in a browser, if this machine has a screen."""
    import webbrowser  # 30 ms that other commands do without

    if sys.platform == "darwin" or any(map(os.environ.get, _SCREENS)):
        webbrowser.open(address)


class Verbatim:
    """Bytes for stdout: unchanged into a pipe or file, made visible on a terminal."""

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._decoder = decoder if sys.stdout.isatty() else None

    def write(self, piece: bytes) -> None:
        """Write the next piece; the caller handles the BrokenPipeError of a reader that left."""
        if self._decoder is None:
            sys.stdout.buffer.write(piece)
        else:
            sys.stdout.write(visible(self._decoder.decode(piece)))

    def flush(self) -> None:
        sys.stdout.flush()


def say_json(value: object, *, is_line: bool = False) -> None:
    """Write a value as JSON: indented, or on one line."""
    say(json_escaped(json.dumps(value, ensure_ascii=False, indent=None if is_line else 2)))


def report(value: object, text: str, *, as_json: bool) -> int:
    """Write a command's result as JSON or as a line; return the exit code."""
    if as_json:
        say_json(value)
    else:
        say(text)
    return 0


def report_list(rows: list[T], name: str, show: Callable[[list[T]], None], *, as_json: bool) -> int:
    """Write a list as JSON or as a table; return the exit code."""
    if as_json:
        say_json(rows)
    elif rows:
        show(rows)
    else:
        complain(f"no {name}")

    return 0


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str | None]]) -> None:
    """Write a table of texts to stdout."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    cells = [[Text(visible(cell or "")) for cell in row] for row in rows]
    if not out.is_terminal:
        print_plain(out, titles, cells, [False] * len(titles))
        return

    table = Table(*titles, box=None, pad_edge=False, header_style="bold")
    for row in cells:
        table.add_row(*row)
    out.print(table)


def print_plain(
    out: "Console",
    titles: Sequence[str],
    rows: Sequence[Sequence["Text"]],
    are_figures: Sequence[bool],
    max_padded: int = _MAX_PADDED_CHARACTERS,
) -> None:
    """Write a table without fitting it to a width: each row is one line, each cell is whole;
    numbers are aligned to the right.

    Cells longer than most are not padded to, since padding would make all other lines as long.
    """
    from rich.text import Text

    lines = [[Text(title, "bold") for title in titles], *rows]
    for place, is_figure in enumerate(are_figures):
        width = min(max_padded, max(line[place].cell_len for line in lines))
        for line in lines:
            pad = line[place].pad_left if is_figure else line[place].pad_right
            pad(max(0, width - line[place].cell_len))

    for line in lines:
        text = Text(" " * GAP).join(line)
        text.rstrip()
        out.print(text, soft_wrap=True)


def console() -> "Console":
    """Return a rich console on stdout; off a terminal it has no colours and unlimited width."""
    from rich.console import Console

    class _Console(Console):
        def on_broken_pipe(self) -> NoReturn:
            raise ReaderGone

    is_terminal = sys.stdout.isatty()
    return _Console(
        file=sys.stdout,
        no_color=None if is_terminal else True,  # None: as NO_COLOR says
        width=None if is_terminal else 200,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not is_terminal,
    )
