"""The commands of the program, as tests look them up."""

import re
from collections.abc import Iterator

import click

from proxy.cli.program import program


def walk(
    command: click.Command = program, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that call it."""
    if not isinstance(command, click.Group):
        yield path, command
        return

    for name in command.list_commands(click.Context(command)):
        yield from walk(command_of(name, within=command), (*path, name))


def command_of(*words: str, within: click.Command = program) -> click.Command:
    """The command or group that some words call."""
    command = within
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None, words
        command = found
    return command


def example_of(command: click.Command) -> str:
    """The example of a command's help, as one line."""
    found = re.search(r"Example: (.+)", command.help or "", re.DOTALL)
    assert found is not None, command.name
    return " ".join(found[1].split())
