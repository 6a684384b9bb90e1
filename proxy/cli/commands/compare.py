"""`sidelog compare`: the differences between two records, or between a record and the last success
of its endpoint.
"""

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from rich.text import Text

from proxy.cli.command import (
    argument,
    command,
    ignore_option,
    json_option,
    reader_options,
    record_argument,
)
from proxy.cli.commands.client import Client
from proxy.cli.commands.listing import View, column_text
from proxy.cli.commands.output import Json, Result, complain, console
from proxy.cli.commands.record_id import find_id
from proxy.process.terminal import visible_line

MAX_SHOWN: Final = 100
"""Number of changes shown per part; `--json` shows all that the API returns."""
_SIGNS: Final = {"added": ("+", "green"), "removed": ("-", "red"), "moved": (">", "cyan")}
_WORDS: Final = {
    "added": ("{+", "+}", "green"),
    "removed": ("[-", "-]", "red"),
    "same": ("", "", ""),
}
"""Marks of added and removed words, as in wdiff(1)."""


@command()
@record_argument
@argument(
    "other_id",
    "Id of the second exchange. Without it, the first is compared with the last success of its "
    "endpoint, the one whose request is most alike.",
    metavar="[OTHER-ID]",
    required=False,
)
@ignore_option
@reader_options
@json_option
def compare(
    client: Client, record_id: str, other_id: str | None, ignore: tuple[str, ...]
) -> Result:
    """Show what differs between two exchanges, part by part; exits with 1 if anything does.

    Example: sidelog compare 0192f3c4-5a6b-7c8d-9e0f-a1b2c3d4e5f6
    0192f3c4-77d1-7f3a-8f10-5e0c9d2b6a41
    """
    ids = [find_id(client, each) for each in (record_id, other_id) if each is not None]
    a, b = ids if len(ids) > 1 else (_last_success(client, ids[0]), ids[0])
    path = f"/api/records/{quote(a, safe='')}/compare/{quote(b, safe='')}"
    found = client.get_json(path, {"ignore": [*ignore]} if ignore else {})
    return Result(found, _print, 0 if found["equal"] else 1)


def _last_success(client: Client, record_id: str) -> str:
    """Return the id of the most similar success; stderr says how similar it is if requests differ."""
    found = client.get_json(f"/api/records/{quote(record_id, safe='')}/last-success")
    if found["match"] == "endpoint":
        if found["differences"]:
            first = visible_line(found["differences"][0])
        else:
            first = "its body, which was not kept"
        complain(
            "no success of the same request is stored; of the same endpoint the nearest differs "
            f"in {first}"
        )

    return str(found["id"])


def _print(found: Json) -> None:
    out = console()
    for side in ("a", "b"):
        words = (
            column_text(name, found[side], View())
            for name in ("method", "target", "code", "ms", "time")
        )
        out.print(Text(visible_line(f"{side}  {found[side]['id']}  {'  '.join(words)}")))

    for part in found["parts"]:
        for line in _lines(part):
            out.print(line)
    if figures := [each for each in found["measures"] if each["a"] != each["b"]]:
        out.print(Text("\nmeasures, which do not count as differences", "bold"))
    for each in figures:
        name = each["name"].removesuffix("_us").replace("_", " ")
        out.print(Text(f"  {name}  {_figure(each, 'a')} -> {_figure(each, 'b')}"))
    if found["equal"]:
        out.print(Text("\nno differences" + ("" if found["complete"] else " in what is stored")))


def _figure(measure: Json, side: str) -> str:
    value = measure[side]
    if value is None:
        return "unknown"
    if measure["name"].endswith("_us"):
        return f"{value / 1000:,.1f} ms"
    return f"{value:,}"


def _lines(part: Json) -> Iterator[Text]:
    """Return the lines of a part; none for equal parts without a note."""
    notes = [*part["notes"]]
    if part["set_apart"]:
        notes.append(
            f"ignored: {', '.join(dict.fromkeys(change['path'] for change in part['set_apart']))}"
        )

    if part["changes"] or notes:
        yield Text(
            f"\n{part['part'].replace('_', ' ')}{': equal' if part['equal'] else ''}", "bold"
        )

    yield from map(change_line, part["changes"][:MAX_SHOWN])
    if more := part["more"] + len(part["changes"][MAX_SHOWN:]):
        yield Text(f"  … {more:,} more")
    for note in notes:
        yield Text(f"  ({visible_line(note)})", "dim")


def change_line(change: Json) -> Text:
    """Return the line of a change: its sign, its path, the old and the new value."""
    sign, style = _SIGNS.get(change["change"], ("~", ""))
    if change["old_path"] is None:
        was = ""
    else:
        was = f" (was {change['old_path']})"
    if sign == ">" and not was:
        was = " is in another order:"
    line = Text(visible_line(f"  {sign} {change['path']}{was}  "), style)
    for piece in change["segments"]:
        begin, end, colour = _WORDS[piece["change"]]
        line.append(f"{begin}{visible_line(piece['text'])}{end}", colour)
    if not change["segments"]:
        values = (change[side] for side in ("a", "b") if change[side] is not None)
        line.append(visible_line(change["b"] if sign == ">" else " -> ".join(values)))
    return line.append("" if change["times"] == 1 else f"  ({change['times']:,} times)")
