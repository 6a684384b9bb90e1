"""Names that are credentials elsewhere but content in traffic of language models, by shape and context. Pure.

`token` is a piece of text where its log probability or its place stands beside it; `session` is a configuration where
it is an object with the members of a realtime session. Whatever differs from these shapes by a byte stays a secret, and
what is inside them is searched like all else: a session's `client_secret` goes.
"""

import re
from typing import Final

MAX_TOKEN_BYTES: Final = 96
"""Of one text token, escapes included: the longest ones are runs of blanks."""
_LOOK_BYTES: Final = 8192
"""How far into a session its members are looked for: `instructions` may be long, but does not come first."""

_KEY: Final = re.compile(rb'"(token|session)"\s*:\s*\Z')
_LOGPROB: Final = re.compile(
    rb'"(?:[^"\\]|\\.){0,%d}"(?=\s*,\s*(?:"(?:bytes|id|token_?[iI]d)"\s*:\s*(?:\[[0-9,\s]{0,400}\]|null|-?[0-9]{1,12})'
    rb'\s*,\s*)*"(?:logprob|logProbability|log_probability|start_offset)"\s*:\s*(?:-?[0-9]|null))' % MAX_TOKEN_BYTES
)
_REALTIME: Final = re.compile(
    rb'"(?:object|type)"\s*:\s*"(?:realtime(?:\.[a-z_]+)?|transcription)"|"(?:output_)?modalities"\s*:\s*\['
    rb'|"turn_detection"\s*:|"input_audio_(?:format|transcription)"\s*:'
)
_SESSION: Final = re.compile(rb'\{\s*"')


def content_end(text: bytes, key: bytes, start: int) -> int:
    """Return where to go on when the value at `start` is content, whose `key` was matched before it; else -1."""
    name = _KEY.search(key)
    if name is None:
        return -1
    if name[1] == b"token":
        value = _LOGPROB.match(text, start, start + MAX_TOKEN_BYTES + 600)
        return -1 if value is None else value.end()
    if _SESSION.match(text, start) is not None and _REALTIME.search(text, start, start + _LOOK_BYTES) is not None:
        return start + 1
    return -1
