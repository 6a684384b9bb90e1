"""Filter flags: every field of the search language (docs/search.md) is one.

`--duration '>500ms'` is `duration:">500ms"`, and `--model gpt-4o` is the API parameter `model`.
Help shows the most-used flags. The others become `--filter NAME VALUE` before click reads the
arguments, so a command's own option wins over a field of that name.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

import click

FILTER_OPTION: Final = "--filter"


def field_of(flag: str) -> str | None:
    """Return the search field that a flag names; None for other flags."""
    from storage.search.language.parameters import PARAMETERS, SEARCH
    from storage.search.language.words import word_of

    # Names of headers and of members have hyphens of their own.
    word, dot, rest = flag.removeprefix("--").partition(".")
    name = f"{word.replace('-', '_')}{dot}{rest}"
    is_field = name == SEARCH or name in PARAMETERS or word_of(name) is not None
    if is_field and flag.startswith("--"):
        return name
    return None


def flags() -> list[str]:
    """Return the flags of all fields except those that continue with a name."""
    from storage.search.language.parameters import PARAMETERS
    from storage.search.language.words import WORDS

    return [f"--{name.replace('_', '-')}" for name in dict.fromkeys((*PARAMETERS, *WORDS))]


def closest_flags(flag: str, own: Iterable[str]) -> list[str]:
    """Return the flag that was probably meant: one of the command, or of a field."""
    return get_close_matches(flag, [*own, *flags()], n=1)


def with_filters(arguments: Sequence[str], own: Iterable[str]) -> list[str]:
    """Rewrite flags of fields to `--filter NAME VALUE`, except the command's own options.

    Raises:
        click.UsageError: the value of a flag is missing.
    """
    known = set(own)
    written: list[str] = []
    for place, argument in enumerate(arguments):
        if argument == "--":
            return [*written, *arguments[place:]]

        flag, equals, value = argument.partition("=")
        field = None if flag in known else field_of(flag)
        if field is None:
            written.append(argument)
            continue

        if not equals and place + 1 == len(arguments):
            raise click.UsageError(f"Option {flag!r} requires an argument.")
        written += [FILTER_OPTION, field, value] if equals else [FILTER_OPTION, field]

    return written


def filters_of(
    search: Sequence[str], given: Mapping[str, Any], terms: Iterable[tuple[str, str]]
) -> dict[str, str | list[str]]:
    """Return the API's parameters: from shown flags, other fields, and the search.

    The words of a search, `--query`, and fields without a parameter must all match.
    """
    from storage.search.language.parameters import LISTS, PARAMETERS, SEARCH, written_term

    filters: dict[str, str | list[str]] = {
        name: [*value] if name in LISTS else value for name, value in given.items() if value
    }
    searches = [" ".join(search)]
    for name, value in terms:
        if not value:
            continue
        if name == SEARCH:
            searches.append(value)
        elif name in LISTS:
            filters[name] = [*filters.get(name, ()), value]
        elif name in PARAMETERS:
            filters[name] = value
        else:
            searches.append(written_term(name, value) or "")

    asked = [text for text in searches if text]
    if asked:
        filters[SEARCH] = asked[0] if len(asked) == 1 else " ".join(f"({text})" for text in asked)
    return {name: value for name, value in filters.items() if value}
