"""Option types that name the expected value when they refuse one."""

import re
from pathlib import Path
from typing import Annotated, Any, Final

import click
import msgspec
from click import Parameter

_WHOLE_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_BARE_NUMBER: Final = re.compile(r"\s*[+-]?[0-9.]+\s*", re.ASCII)
NUMBER_WITH_UNIT: Final = "a number with a unit (s, m, h, d or w)"
_SECONDS: Final = Annotated[int, msgspec.Meta(ge=0)]


class WholeNumber(click.IntRange):
    """A whole number, refused with its value and its limits."""

    name = "n"

    def convert(self, value: Any, param: Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        number = int(value) if _WHOLE_NUMBER.fullmatch(value) else None
        if (
            number is None
            or number < (self.min or 0)
            or (self.max is not None and number > self.max)
        ):
            if self.max is None:
                limits = f", at least {self.min}"
            else:
                limits = f" from {self.min} to {self.max}"
            self.fail(f"expected a whole number{limits}, got {value!r}", param, ctx)

        return number


class Seconds(click.ParamType[int]):
    """Whole seconds, with units as in settings: `90s`, `1h30m`; `0` stands for none."""

    name = "time"

    def convert(self, value: Any, param: Parameter | None, ctx: click.Context | None) -> int:
        from proxy.settings.conversion import convert
        from proxy.settings.sources import Given

        if isinstance(value, int):
            return value

        if _BARE_NUMBER.fullmatch(value) and value.strip() != "0":
            self.fail(f"expected {NUMBER_WITH_UNIT}, such as 5m, got {value!r}", param, ctx)
        try:
            seconds: int = convert("_s", Given(value, "", is_text=True), _SECONDS)
        except ValueError as error:
            self.fail(f"{error}, got {value!r}", param, ctx)

        return seconds


class PositiveNumber(click.ParamType[float]):
    """A number above 0, refused with its value and its limit."""

    name = "number"

    def __init__(self, most: float) -> None:
        self._most = most

    def convert(self, value: Any, param: Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float | int) or _NUMBER.fullmatch(value):
            number = float(value)
        else:
            number = 0.0
        if not 0 < number <= self._most:
            self.fail(
                f"expected a number above 0, at most {self._most:g}, got {value!r}", param, ctx
            )
        return number


FILE: Final = click.Path(path_type=Path)
