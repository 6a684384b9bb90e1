"""Help without Python's types: typer describes an argument as `SEARCH <list[str]>` and its own option as `-h <bool>`.

What stands for a value in help is the `metavar` that each declaration has.
"""

from typing import Any

import typer


def hide_types(command: Any, above: typer.Context | None = None) -> None:
    """Prepare a command of `typer.main.get_command`, and all below it."""
    context = typer.Context(command, parent=above, **command.context_settings)
    for parameter in command.get_params(context):
        if parameter.name == "help" or parameter.param_type_name == "argument":
            parameter.display_type_rich = _no_type
    for below in getattr(command, "commands", {}).values():
        hide_types(below, context)


def _no_type(**_: object) -> None:
    return None
