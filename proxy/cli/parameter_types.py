"""Types of options, which refuse a value with what was expected."""

import re
from typing import Annotated, Any, Final

import click
import msgspec
from click import Parameter

_WHOLE_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_SECONDS: Final = Annotated[int, msgspec.Meta(ge=0)]


class WholeNumber(click.IntRange):
    """A whole number, refused with its value and its limits."""

    def convert(self, value: Any, param: Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        number = int(value) if _WHOLE_NUMBER.fullmatch(value) else None
        if number is None or number < (self.min or 0) or (self.max is not None and number > self.max):
            limits = f", at least {self.min}" if self.max is None else f" from {self.min} to {self.max}"
            self.fail(f"expected a whole number{limits}, got {value!r}", param, ctx)
        return number


class Seconds(click.ParamType[int]):
    """Whole seconds, given as settings take them: `90`, `90s`, `1h30m`."""

    name = "time"

    def convert(self, value: Any, param: Parameter | None, ctx: click.Context | None) -> int:
        from proxy.settings.conversion import convert
        from proxy.settings.sources import Given

        if isinstance(value, int):
            return value
        try:
            seconds: int = convert("_s", Given(value, "", is_text=True), _SECONDS)
        except ValueError as error:
            self.fail(f"{error}, got {value!r}", param, ctx)
        return seconds
