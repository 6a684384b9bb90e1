"""The steps of the demo's visits, as `visits.toml` has them: requests, and what the service answers
to each. Pure.

Strategy: both sides read the same templates. A visit draws a value for each placeholder, and the
service finds the step that has the form of a request, and in it what was drawn.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

_PLACEHOLDER: Final = re.compile(r"<(?:(\d+)-(\d+)|([^<>|]+(?:\|[^<>|]+)+))>")
_WORD: Final = "<word>"
Drawn = Mapping[str, str]
"""Placeholder → value."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a visit, and its answer."""

    request: str
    """Method and target; for a call of gRPC `GRPC` and its path, for a WebSocket `SOCKET` and its
    target.
    """
    body: str = ""
    """JSON; of a call its message, of a WebSocket the first one."""
    headers: dict[str, str] = {}
    leave_after_chunks: int = 0
    """Close the connection after so many chunks of the answer; 0: read all of it."""
    status: str = ""
    """Of the answer, 200 if empty; of a call its status, of a WebSocket the code that closes it."""
    answer: str = ""
    """The body; of a call or a WebSocket what is said of its status."""
    answer_headers: dict[str, str] = {}
    times: int = 1
    """How often the body is there, a line each time."""
    delay_s: float = 0.0
    frames: tuple[str, ...] = ()
    """Of an event stream; one with `<word>` comes once for each word."""
    words: str = ""
    messages: tuple[str, ...] = ()
    """Of a call or a WebSocket, JSON each."""

    @property
    def target(self) -> str:
        return self.request.partition(" ")[2]

    @property
    def texts(self) -> Iterator[str]:
        """What a request is made of."""
        yield from (self.request, self.body, *self.headers.values())

    @property
    def spoken_frames(self) -> Iterator[str]:
        for frame in self.frames:
            words = self.words.split() if _WORD in frame else ("",)
            yield from (frame.replace(_WORD, word) for word in words)

    def filled(self, drawn: Drawn) -> "Step":
        """Return it with what was drawn in the place of placeholders."""

        def fill(value: object) -> object:
            if isinstance(value, str):
                return _PLACEHOLDER.sub(lambda found: drawn.get(found[0], found[0]), value)
            if isinstance(value, list | tuple):
                return list(map(fill, value))
            if isinstance(value, dict):
                return {name: fill(each) for name, each in value.items()}
            return value

        return msgspec.convert(fill(msgspec.to_builtins(self)), Step)


def draw_for(steps: Sequence[Step], draw: random.Random) -> dict[str, str]:
    """Draw a value for each placeholder of some requests."""
    drawn: dict[str, str] = {}
    for text in (text for step in steps for text in step.texts):
        for found in _PLACEHOLDER.finditer(text):
            first, last, choices = found.groups()
            if choices:
                value = draw.choice(choices.split("|"))
            else:
                value = str(draw.randint(int(first), int(last)))
            drawn.setdefault(found[0], value)

    return drawn


class Answers:
    """Finds the answer to a request."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._known = [(*_form(step), step) for step in steps]

    @property
    def requests(self) -> list[str]:
        """What is answered, with its placeholders."""
        return list(dict.fromkeys(step.request for _, _, step in self._known))

    def find(self, request: str, body: str = "") -> Step | None:
        """Return the first step with the form of a request, filled; None where there is none."""
        for form, placeholders, step in self._known:
            found = form.fullmatch(f"{request}\n{body}")
            if found:
                drawn = dict(zip(placeholders, found.groups(), strict=True))
            else:
                drawn = None
            if drawn is not None and all(map(_is_in, drawn, drawn.values())):
                return step.filled(drawn)
        return None


def _form(step: Step) -> tuple[re.Pattern[str], list[str]]:
    """Return what requests of a step look like, and the placeholders of its groups; without a body
    any is taken.
    """
    text = f"{step.request}\n{step.body}"
    placeholders = list[str]()
    form = ""
    at = 0

    for found in _PLACEHOLDER.finditer(text):
        form += re.escape(text[at : found.start()])
        at = found.end()
        if found[0] in placeholders:
            form += rf"\{placeholders.index(found[0]) + 1}"
            continue

        placeholders.append(found[0])
        form += f"({'|'.join(map(re.escape, found[3].split('|')))})" if found[3] else r"(\d+)"

    form += re.escape(text[at:]) + ("" if step.body else ".*")
    return re.compile(form, re.DOTALL), placeholders


def _is_in(placeholder: str, value: str) -> bool:
    """Whether a number lies in the range of its placeholder."""
    first, dash, last = placeholder.strip("<>").partition("-")
    is_range = dash and first.isdigit() and last.isdigit()
    return not is_range or int(first) <= int(value) <= int(last)
