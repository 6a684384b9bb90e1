"""Read a streamed response (events, lines or array elements), also with a gap in the middle.

Strategy: cheap byte tests select the frames to read, in order. Of very many only the first and the
last are read, because later counts replace earlier ones. After a gap, the tail may begin within a
frame; the rest of that frame is read by structure, from its end.
"""

from bisect import bisect_left
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from proxy.enrich.facts import CallUsage
from proxy.enrich.formats.aws_events import DAMAGED, split_aws
from proxy.enrich.formats.cut_json import Members, elements_at_end, members_at_end, write_members
from proxy.enrich.formats.frames import (
    BLANK_LINE,
    LINE_END,
    Frame,
    Split,
    split_array,
    split_events,
    split_lines,
    split_of,
)
from proxy.enrich.http.exchange import DecodedBody
from proxy.enrich.llm.provider import Provider

_MAX_READ: Final = 256
"""Limit of wanted frames read at the beginning of a stream."""
_LAST_READ: Final = 64
"""Wanted frames read at the end of a stream that has more of them."""
_MAX_HITS: Final = 20_000
"""Limit of matches of `Provider.wanted` examined in one stream."""
_FIRST_FRAMES: Final = 4
"""Frames that are read until one names the model: Azure's first one does not."""


@dataclass(frozen=True, slots=True)
class Frames:
    """A streamed response and how it is cut into frames."""

    body: DecodedBody
    split: Split
    is_cut: bool
    """True if client or upstream left early. The last frame may be incomplete."""


class Pace(NamedTuple):
    """The pace of a stream."""

    first_content: int
    """Offset of the end of the first frame with output; -1 if none was seen."""
    frames: int | None
    """Number of frames; None if some were not captured."""


def frames_of(
    body: DecodedBody, content_type: bytes, provider: Provider, *, is_cut: bool
) -> Frames | None:
    """Return the frames of a streamed response; None if it is a single document."""
    if b"amazon.eventstream" in content_type.lower():
        return Frames(body, split_aws, is_cut)
    split = split_of(content_type, body.head)
    if split is None and provider.is_array and body.head.lstrip()[:1] == b"[":
        split = split_array
    if split is None:
        return None

    return Frames(body, split, is_cut)


def read_stream(usage: CallUsage, provider: Provider, frames: Frames) -> Pace:
    body = frames.body
    found = frames.split(body.head, is_ended=body.has_end and not body.tail)
    first_content = _read_head(usage, provider, body.head, found)
    is_damaged = _is_damaged(found)
    if body.tail:
        is_damaged |= _read_tail(usage, provider, frames)
    if frames.split is split_array and body.has_end:
        usage.is_finished |= (body.tail or body.head).rstrip().endswith(b"]")

    if not body.has_end or (is_damaged and not frames.is_cut):
        # Counts with the terminator are final; without it, unseen frames may have newer ones.
        usage.is_lost = not (usage.is_finished and usage.is_settled)
    is_whole = body.has_end and not body.tail and not is_damaged
    return Pace(first_content, len(found) if is_whole else None)


def _read_head(usage: CallUsage, provider: Provider, text: bytes, found: list[Frame]) -> int:
    """Read the wanted frames before the gap.

    Return the offset of the end of the first frame with output, -1 if there is none. One search
    over the whole text takes 0.1 µs a frame, a search in each frame 1 µs.
    """
    ends = [frame.end for frame in found]
    hits = [
        bisect_left(ends, hit.start() + 1)
        for hit in islice(provider.wanted.finditer(text), _MAX_HITS)
    ]
    wanted = set(hits)
    if len(hits) == _MAX_HITS:
        wanted.update(range(max(0, len(found) - _LAST_READ), len(found)))

    places = sorted(wanted)
    if len(places) <= _MAX_READ + _LAST_READ:
        chosen = wanted
    else:
        chosen = {*places[:_MAX_READ], *places[-_LAST_READ:]}
    for place in sorted(chosen.union(range(_FIRST_FRAMES))):
        if place < len(found) and (place in wanted or usage.resolved_model is None):
            provider.read(usage, found[place].data)

    content = provider.content.search(text)
    if content is None:
        return -1
    place = bisect_left(ends, content.start() + 1)
    if place < len(found):
        return ends[place]
    return -1


def _read_tail(usage: CallUsage, provider: Provider, frames: Frames) -> bool:
    """Read the frames after the gap; the first may be incomplete. Return True if one is damaged."""
    tail = frames.body.tail
    names = provider.members | {provider.reason}
    if frames.split is split_array and not frames.is_cut:
        chain = members_at_end(tail, names)[1:]
        whole = [Frame(b"", tail[start:end], -1) for start, end in elements_at_end(tail)]
    else:
        chain = members_at_end(cut_frame(tail, frames.split, is_ended=not frames.is_cut), names)
        whole = frames.split(tail, is_inside=True, is_ended=True)

    counts = usage.counts_read
    reason = usage.take_reason()
    if chain:
        provider.read(usage, rebuilt(provider, chain, is_frame=True))
    for frame in whole:
        if provider.wanted.search(frame.data) is not None:
            provider.read(usage, frame.data)

    if usage.counts_read == counts and usage.finish_reason is None:
        # Newer counts may be in the gap. Only the input counts are final.
        usage.is_lost = not usage.is_cut or usage.output_tokens is not None

    usage.finish_reason = usage.finish_reason or reason
    return _is_damaged(whole)


def _is_damaged(found: list[Frame]) -> bool:
    return any(frame.event is DAMAGED for frame in found)


def cut_frame(tail: bytes, split: Split, *, is_ended: bool) -> bytes:
    """Return the rest of the frame within which a tail begins; empty if its end is missing as well."""
    if split is split_events:
        blank = BLANK_LINE.search(tail)
        first, *lines = LINE_END.split(tail if blank is None else tail[: blank.start()])
        data = (line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
        if blank or is_ended:
            return b"\n".join((first.removeprefix(b"data:"), *data))
        return b""

    line, newline, _ = tail.partition(b"\n")
    if split is split_lines and (newline or is_ended):
        return line

    return b""


def rebuilt(provider: Provider, chain: list[Members], *, is_frame: bool = False) -> bytes:
    """Return a document of the known members.

    `chain` has the members of each object around a cut, the outermost first.
    """
    if not chain:
        return b""
    members = dict(chain[0])
    if (
        provider.choices
        and provider.choices not in members
        and len(chain) > 2
        and provider.reason in chain[2]
    ):
        # The array of choices is cut within the choice with the reason.
        members[provider.choices] = b"[%b]" % write_members(
            {provider.reason: chain[2][provider.reason]}
        )

    wrapper = provider.wrapper
    if (
        is_frame
        and wrapper
        and len(chain) > 1
        and chain[1]
        and members.keys().isdisjoint((b"usage", wrapper))
    ):
        members[wrapper] = rebuilt(provider, chain[1:])

    return write_members(members)
