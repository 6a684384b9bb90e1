"""Output of the commands: results on stdout, everything else on stderr, colour only on a terminal.

Invariant: text from records or files reaches a terminal only with its control characters made
visible, so that a logged request cannot move the cursor or retitle the reader's window.
"""

import codecs
import json
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from proxy.process.terminal import json_escaped, visible, visible_line, without_credentials

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod
    from rich.text import Text

_WIDE_COLUMNS: Final = 140
"""Smallest width of a terminal that shows every column."""
GAP: Final = 2
"""Blanks between columns."""
_MAX_PADDED_CHARACTERS: Final = 100
_SCREENS: Final = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


Json = Mapping[str, Any]
"""A JSON object, usually a part of an answer of the API."""


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
    with _reader_may_leave():
        sys.stdout.write(text + "\n")


def flush() -> None:
    """Flush stdout; raises ReaderGone as `say` does."""
    with _reader_may_leave():
        sys.stdout.flush()


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    try:
        yield
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


def write_out(pieces: Iterable[bytes], output: Path | None = None) -> None:
    """Write bytes to a file, or else to stdout; raises ReaderGone as `say` does.

    An existing file is replaced only once the first piece is there.
    """
    if output is not None:
        rest = iter(pieces)
        first = next(rest, b"")
        with failing(f"cannot write {output}", OSError), output.open("wb") as file:
            file.write(first)
            file.writelines(rest)
        return

    out = Verbatim()
    with _reader_may_leave():
        for piece in pieces:
            out.write(piece)
        out.flush()


def say_json(value: object, *, is_line: bool = False) -> None:
    """Write a value as JSON: indented, or on one line."""
    say(json_escaped(json.dumps(value, ensure_ascii=False, indent=None if is_line else 2)))


class Result(NamedTuple):
    """The result of a command, to be printed as JSON or for people."""

    value: Any
    """Printed as JSON."""
    show: str | Callable[[Any], object]
    """The text for people, or what prints the value for them."""
    code: int = 0
    """Exit code."""

    def print(self, *, as_json: bool) -> int:
        """Print the result; return the exit code."""
        if as_json:
            say_json(self.value)
        elif isinstance(self.show, str):
            say(self.show)
        else:
            self.show(self.value)
        return self.code


def list_result(rows: list[Any], name: str, show: Callable[[Any], object]) -> Result:
    """Return the result of a list; for people a message on stderr replaces an empty one."""
    return Result(rows, show if rows else lambda _: complain(f"no {name}"))


@contextmanager
def failing(text: str, *errors: type[Exception], exit_code: int = 1) -> Iterator[None]:
    """Convert errors of some types into a CommandError with a text, if there is one, and the
    reason.

    Raises:
        CommandError: `text: reason`.
    """
    try:
        yield
    except errors as error:
        reason = str(getattr(error, "strerror", None) or error)
        raise CommandError(f"{text}: {reason}" if text else reason, exit_code) from error


class Column(NamedTuple):
    """A column of a table."""

    title: str
    is_number: bool = False
    is_wrapped: bool = True
    """Whether a long text may take several lines on a terminal."""


def columns_of(*titles: str) -> list[Column]:
    """Return columns of texts."""
    return [Column(title) for title in titles]


def print_table(
    columns: Sequence[Column],
    rows: Iterable[Sequence["Text | str | None"]],
    *,
    is_plain: bool = False,
    max_padded: int = _MAX_PADDED_CHARACTERS,
) -> None:
    """Write a table to stdout.

    On a terminal it fits the width: long texts are wrapped. Elsewhere, and if `is_plain`, each row
    is one line and each cell is whole. Cells longer than `max_padded` are not padded to, since
    padding would make all other lines as long.
    """
    from rich.table import Table
    from rich.text import Text

    out = console()
    cells = [
        [each if isinstance(each, Text) else Text(visible_line(each or "")) for each in row]
        for row in rows
    ]
    if out.is_terminal and not is_plain:
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for title, is_number, is_wrapped in columns:
            justify: JustifyMethod = "right" if is_number else "left"
            table.add_column(title, justify=justify, no_wrap=not is_wrapped, overflow="fold")
        for row in cells:
            table.add_row(*row)
        out.print(table, soft_wrap=False)
        return

    lines = [[Text(each.title, "bold") for each in columns], *cells]
    for place, column in enumerate(columns):
        width = min(max_padded, max(line[place].cell_len for line in lines))
        for line in lines:
            if column.is_number:
                pad = line[place].pad_left
            else:
                pad = line[place].pad_right
            pad(max(0, width - line[place].cell_len))

    for line in lines:
        text = Text(" " * GAP).join(line)
        text.rstrip()
        out.print(text, soft_wrap=True)


def is_wide() -> bool:
    """Return whether the output has room for all columns."""
    return console().width >= _WIDE_COLUMNS


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
