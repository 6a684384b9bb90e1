"""The program: the names of all commands, and where each is declared.

Invariant: a command is imported only when it is used, so that no command pays for another.
Therefore this module repeats the commands' summaries; a test compares them with their help.
"""

from importlib import import_module
from typing import Final, NamedTuple

import click
from click.shell_completion import CompletionItem

from proxy.process.version import VERSION


class _Place(NamedTuple):
    """Location of a command."""

    name: str
    """Module below `proxy/cli/commands`, and the name of the command or group in it."""
    help: str
    """First paragraph of its help, or that paragraph's first sentence."""


SECTIONS: Final = {
    "Run": {
        "serve": _Place("serve:serve", "Run the proxy."),
        "run": _Place(
            "run.command:run",
            "Run a command, such as a coding agent, and record the model calls that it makes; at the "
            "end, sum up calls, failures and cost.",
        ),
        "health": _Place(
            "health:health",
            "Report whether sidelog is ready, and exit with 0 if it is; for container health checks.",
        ),
        "doctor": _Place(
            "doctor.command:doctor",
            "Check this machine and the settings, and suggest a fix for each problem.",
        ),
        "config": _Place("config:config_group", "Check or show the configuration."),
        "redact": _Place("redact:redact_group", "List the rules of redaction, and try them."),
        "token": _Place("token:token", "The admin token."),
        "ca": _Place(
            "ca:ca",
            "The authority by which outgoing calls are read: its file, and what to set so that "
            "programs trust it.",
        ),
        "version": _Place(
            "about:version",
            "Print the version and build (pure or compiled) of sidelog, and the versions of Python "
            "and the main libraries.",
        ),
        "completion": _Place(
            "about:completion",
            "Print a completion script for a shell; load it with: "
            'eval "$(sidelog completion bash)".',
        ),
    },
    "Look": {
        "query": _Place("records:query", "Search records."),
        "tail": _Place(
            "tail:tail",
            "Follow new records as they are stored; resumes without a gap when the connection "
            "breaks or sidelog restarts.",
        ),
        "get": _Place("records:get", "Show one exchange: its outcome, headers and bodies."),
        "open": _Place(
            "records:open_record",
            "Open one record in the web UI: print its address, and show it in a browser, if this "
            "machine has a screen.",
        ),
        "compare": _Place(
            "compare:compare",
            "Show what differs between two exchanges, part by part; exits with 1 if anything does.",
        ),
        "top": _Place(
            "top:top",
            "Show the most frequent endpoints, or values of another field, with errors, latency, "
            "bytes and cost.",
        ),
        "conversations": _Place(
            "conversations:conversations",
            "List LLM conversations, or show one: turns, tools, tokens, cost, time, where it "
            "failed.",
        ),
        "view": _Place("views:view", "Saved searches."),
        "export": _Place(
            "files.export:export",
            "Export all matching records, oldest first, with a progress bar on stderr.",
        ),
        "mcp": _Place(
            "mcp:mcp",
            "Serve the log to a coding agent on stdin and stdout (Model Context Protocol), "
            "read-only.",
        ),
    },
    "Send again": {
        "save": _Place(
            "files.export:save",
            "Save matching exchanges with their bodies as a suite, a plain file that can be "
            "replayed.",
        ),
        "replay": _Place(
            "files.replay:replay",
            "Send recorded requests again, and compare each answer with the recorded one; exits "
            "with 1 if any differs.",
        ),
        "mock": _Place(
            "mock.command:mock",
            "Answer requests from a suite or a HAR file, streams with their recorded timing.",
        ),
    },
    "Manage": {
        "keys": _Place("keys:keys", "API keys of the proxied service."),
        "db": _Place("db:db", "Inspect, migrate and back up the store."),
        "alerts": _Place("alerts:alerts", "Alerts on figures of the log."),
        "grpc": _Place("files.reflect:grpc", "Schemas of gRPC services."),
    },
}
"""Title in help → its commands."""
_PLACES: Final = {name: place for places in SECTIONS.values() for name, place in places.items()}


class _Program(click.Group):
    """Imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _PLACES.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.name.partition(":")
        command = getattr(import_module(f"proxy.cli.commands.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _PLACES and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=_PLACES, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, _PLACES))  # one column for all sections
        for title, places in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(width), place.help) for name, place in places.items()]
                )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands without importing them."""
        names = [
            CompletionItem(name, help=place.help)
            for name, place in _PLACES.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


@click.group("sidelog", cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="%(prog)s %(version)s", help="Print the version and exit.")
def program() -> None:
    """A logging reverse proxy that keeps a redacted, searchable record of every exchange."""
