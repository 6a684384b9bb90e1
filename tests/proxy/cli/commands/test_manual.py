"""The manual page says what `--help` says, of every command."""

import re
from typing import Any

import click

from proxy.cli.commands.manual import manual_page
from proxy.cli.program import PROGRAM

CONTEXT = PROGRAM.make_context("sidelog", ["man"])
PAGE = manual_page(PROGRAM, CONTEXT, "1.2.3")


def plain(text: str) -> str:
    """The page as it is read: without fonts and escapes."""
    return (
        re.sub(r"\\f[BIR]", "", text).replace("\\-", "-").replace("\\(dq", '"').replace("\\e", "\\")
    )


def leaves(command: Any, words: str) -> list[tuple[str, Any]]:
    """Every command that does something, with the words that call it."""
    below = getattr(command, "commands", None)
    if below is None:
        return [(words, command)]
    return [leaf for name, each in below.items() for leaf in leaves(each, f"{words} {name}")]


def test_every_command_and_option_is_on_it() -> None:
    """With its help; an option that several commands share stands there once."""
    page = plain(PAGE)
    commands = leaves(PROGRAM, "sidelog")
    assert len(commands) > 25

    for words, command in commands:
        assert f'.SS "{words} [options]' in page
        assert " ".join(command.help.partition("Example: ")[0].split()).replace("`", "") in page
        for option in command.params:
            if option.param_type_name == "option":
                assert re.search(rf"^{option.opts[0]}\b", page, re.MULTILINE), option.opts

    assert len(re.findall("^--finish-reason ", page, re.MULTILINE)) == 1
    assert "Takes the options of FILTERS and of WHICH SIDELOG, too." in page


def test_arguments_are_written_as_in_manuals() -> None:
    """What is needed plainly, what is not in brackets."""
    page = plain(PAGE)
    assert '.SS "sidelog keys create [options] NAME"' in page
    assert '.SS "sidelog conversations [options] [ID]"' in page


def test_nothing_of_a_text_is_a_macro() -> None:
    """Lines begin with a macro that is known, or with text; hyphens are those that can be searched
    and copied.
    """
    macros = {line.split()[0] for line in PAGE.splitlines() if line.startswith(".")}
    assert macros == {".TH", ".SH", ".SS", ".TP", ".PP", ".RS", ".RE", ".nf", ".fi", ".B", ".br"}
    assert not re.search(r"(?<!\\)-", PAGE)
    assert PAGE.startswith(
        '.TH SIDELOG 1 "" "sidelog 1.2.3" "User Commands"\n.SH NAME\nsidelog \\- a logging'
    )


def test_odd_texts_are_escaped() -> None:
    """A dot, a quotation mark or a backslash at the beginning is text."""
    odd = click.Group("odd", help="Odd.")
    odd.add_command(click.Command("one", help='.TH is "no" macro \\fB here - it is text.'))
    odd.add_command(click.Command("other", help="'Quoted."))
    page = manual_page(odd, click.Context(odd, info_name="odd"), "1")
    assert "\\&.TH is \\(dqno\\(dq macro \\efB here \\- it is text." in page
    assert "\\&'Quoted." in page
