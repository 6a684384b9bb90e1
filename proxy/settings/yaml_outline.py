"""The first levels of a YAML document, as PyYAML reads it (YAML 1.1).

Strategy: the parser's events are read one by one and what is deeper is skipped, so nothing is built of it: no type is
guessed from a text, no alias is followed, and a megabyte takes a tenth of the time that loading it would.
Invariant: nesting is bounded while it is read. The parser's time grows with the square of the brackets that are open,
and loading some thousand of them would end the process.
"""

from collections.abc import Iterator
from typing import Any, Final

MAX_NESTING: Final = 200


def outline(text: bytes, levels: int) -> object:
    """Return mappings as dicts by the texts of their keys, sequences as lists, scalars as texts; what is deeper than
    `levels`, and an alias, is None. Of several documents the first is read.

    Raises:
        ImportError: PyYAML, an extra, is not installed.
        ValueError: it is no YAML, or nested too deeply.
    """
    import yaml

    try:
        events = yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        first = next((event for event in events if isinstance(event, yaml.NodeEvent)), None)
        return _Reader(yaml, events).value(first, levels)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ValueError(f"{error.problem} in line {mark.line + 1}, column {mark.column + 1}") from None
    except yaml.reader.ReaderError as error:
        raise ValueError(f"{error.reason} at byte {error.position}") from None


class _Reader:
    def __init__(self, yaml: Any, events: Iterator[Any]) -> None:
        self._yaml = yaml
        self._events = events

    def value(self, event: Any, levels: int) -> object:
        yaml = self._yaml
        if isinstance(event, yaml.ScalarEvent):
            return event.value
        if not isinstance(event, yaml.CollectionStartEvent):
            return None
        if not levels:
            self._skip()
            return None
        values = []
        while not isinstance(inner := next(self._events), yaml.CollectionEndEvent):
            values.append(self.value(inner, levels - 1))
        if isinstance(event, yaml.SequenceStartEvent):
            return values
        return {key: value for key, value in zip(values[::2], values[1::2], strict=True) if isinstance(key, str)}

    def _skip(self) -> None:
        """Skip to the end of a collection that has begun."""
        depth = 1
        while depth:
            event = next(self._events)
            if isinstance(event, self._yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_NESTING:
                    raise ValueError(f"more than {MAX_NESTING} levels in line {event.start_mark.line + 1}")
            elif isinstance(event, self._yaml.CollectionEndEvent):
                depth -= 1
