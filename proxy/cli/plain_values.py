"""Texts, numbers and options that are not given reach a command without the validators of typer.

typer hands every value, even one that is not there, to pydantic, whose import was half of the CPU of `sidelog query`,
and a tenth of that of a start. What needs no judgement (a text, a list of texts, a default) is taken as it is here, and
whole numbers are read here: pydantic's message names neither the value nor all of its limits. All else goes the usual
way. Invariant: a command gets the same values either way. Nor does help show Python's types (`SEARCH <list[str]>`):
what stands for a value there is the `metavar` of each declaration.
"""

import re
from typing import Any, Final

import typer

_WHOLE_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


def take_plain_values(command: Any, above: typer.Context | None = None) -> None:
    """Prepare a command of `typer.main.get_command`, and all below it."""
    context = typer.Context(command, parent=above, **command.context_settings)
    for parameter in command.get_params(context):  # `--help` is among these only
        parameter._runtime_param = _PlainFirst(parameter)
        if parameter.name == "help" or parameter.param_type_name == "argument":
            parameter.display_type_rich = lambda **_: None
    for below in getattr(command, "commands", {}).values():
        take_plain_values(below, context)


class _PlainFirst:
    """Stands where typer keeps what converts the values of one parameter, until a value needs it."""

    def __init__(self, parameter: Any) -> None:
        self._parameter = parameter

    def coerce(self, value: Any, param: Any, ctx: typer.Context) -> Any:
        """Return what a command gets for a value of the command line, the environment or a default."""
        parameter = self._parameter
        if value is None:
            return () if parameter.multiple or parameter.nargs == -1 else None
        wanted = parameter.type_descriptor
        if _is_plain(value, wanted):
            return list(value) if isinstance(value, tuple) else value
        if isinstance(value, str) and wanted.annotation in (int, int | None):
            return _number(value, wanted.parameter_info, param, ctx)
        parameter._runtime_param = None  # typer makes its own when it is asked
        try:
            return parameter.get_runtime_param().coerce(value, param=param, ctx=ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")  # of pydantic
            raise


def _is_plain(value: Any, wanted: Any) -> bool:
    """Whether nothing can be wrong with a value."""
    declared = wanted.parameter_info
    if declared.parser is not None:
        return False
    if wanted.annotation is int:  # the default: what is given is a text
        return type(value) is int and declared.max is None and (declared.min is None or value >= declared.min)
    if wanted.annotation is str:
        return _is_text(value)
    return wanted.annotation == list[str] and isinstance(value, list | tuple) and all(map(_is_text, value))


def _number(text: str, declared: Any, parameter: Any, context: typer.Context) -> int:
    """Read a whole number.

    Raises:
        typer.BadParameter: it is none, or beyond a limit.
    """
    least, most = declared.min, declared.max
    if _WHOLE_NUMBER.fullmatch(text):
        number = int(text)
        if (least is None or number >= least) and (most is None or number <= most):
            return number
    limit = "" if least is None else f", at least {least}" if most is None else f" from {least} to {most}"
    raise typer.BadParameter(f"expected a whole number{limit}, got {text!r}", ctx=context, param=parameter)


def _is_text(value: object) -> bool:
    """Whether it is a text without what stands for bytes that are no UTF-8, which typer refuses."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def run(app: typer.Typer, arguments: list[str] | None, name: str) -> None:
    """Run the command that the arguments name; it ends with SystemExit, or with the exception of a command."""
    command = typer.main.get_command(app)
    take_plain_values(command)
    command(args=arguments, prog_name=name)
