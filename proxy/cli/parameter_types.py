"""Types of options that click does not have."""

from typing import Annotated, Any, Final

import click
import msgspec
from click import Parameter

_SECONDS: Final = Annotated[int, msgspec.Meta(ge=0)]


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
