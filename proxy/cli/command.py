"""Building blocks of commands, in addition to click's: options in panels, groups that keep their
order.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from proxy.cli.filters import FILTER_OPTION, closest_flags, with_filters

OWN_PANEL: Final = "Options"
SOURCE_PANEL: Final = "Which sidelog"
FILTER_PANEL: Final = "Filters (values of a repeated option are alternatives)"


class PanelOption(click.Option):
    """An option that help shows in a named panel."""

    def __init__(self, *declarations: Any, panel: str, **more: Any) -> None:
        super().__init__(*declarations, **more)
        self.panel = panel


class Command(click.Command):
    """A command whose help shows options by panel; its group's list shows its whole first
    paragraph.
    """

    def __init__(self, *given: Any, instead: Mapping[str, str] = {}, **more: Any) -> None:
        """Make a command. `instead` maps options of other commands to advice on what to do here."""
        super().__init__(*given, **more)
        self._instead = instead

    @property
    def _options(self) -> list[str]:
        """The names of its options."""
        return [
            name for each in self.params for name in each.opts if isinstance(each, click.Option)
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        has_filters = FILTER_OPTION in self._options
        if has_filters:
            args = with_filters(args, self._options)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = self._instead.get(error.option_name, "")
            near = error.possibilities
            if has_filters:
                near = closest_flags(error.option_name, self._options)
            if not hint and near:
                hint = f"Did you mean {near[0]}?"
            raise click.UsageError(f"{error.message} {hint}".rstrip(), ctx) from error

    def get_short_help_str(self, limit: int = 45) -> str:
        return " ".join((self.help or "").partition("\n\n")[0].split())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        panels: dict[str, list[tuple[str, str]]] = {
            OWN_PANEL: [],
            SOURCE_PANEL: [],
            FILTER_PANEL: [],
        }
        for each in self.get_params(ctx):
            if isinstance(each, click.Option) and (record := each.get_help_record(ctx)):
                panels[panel_of(each)].append(record)

        for title, records in panels.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def panel_of(option: click.Option) -> str:
    """Return the title of the panel that shows an option."""
    if isinstance(option, PanelOption):
        return option.panel
    return OWN_PANEL


class Group(click.Group):
    """A group that lists its commands in the order of their declaration."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def command(**settings: Any) -> Callable[[Callable[..., int]], Command]:
    """Declare a command of the program; its function returns the exit code."""
    return click.command(cls=Command, **settings)
