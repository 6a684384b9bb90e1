"""Separates texts that a program inserted into a user's turn: whole elements, as agents write them.

`<system-reminder>…</system-reminder>` begins a line, and its name is several words with marks
between them, unlike any HTML element. Other elements around the user's words are left as they are.
One pass.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from api.native.chat.message import Message, Part

_TAG: Final = re.compile(r"<(/?)([A-Za-z][\w-]*+)(?:[ \t][^<>\n]{0,200})?>", re.ASCII)
_OF_PROGRAM: Final = re.compile(r"[A-Za-z0-9]++[-_][\w-]+|INSTRUCTIONS", re.ASCII)
_OF_PERSON: Final = re.compile(
    r"user[-_](?:query|prompt|message|input|request)|command-(?:name|message|args)|bash-input"
)
_BLANK_BEGINNING: Final = re.compile(r"\A\s*\n")


def parted(message: Message) -> Message:
    """Split the texts of a user's message so that each text that a program inserted is a part of
    its own.
    """
    if message.role != "user":
        return message
    return Message(message.role, tuple(part for each in message.parts for part in _parted(each)))


def _parted(part: Part) -> list[Part]:
    if part.kind != "text":
        return [part]
    parts = list(blocks_of(part.text, is_cut=part.is_cut))
    if part.is_cut and parts:
        parts[-1] = msgspec.structs.replace(parts[-1], is_cut=True)
    return parts


def blocks_of(text: str, *, is_cut: bool) -> Iterator[Part]:
    """Split a text into its marked elements and the text between them. An element without an end
    tag counts only if the text `is_cut`.
    """
    tags = list(_TAG.finditer(text))
    last_ends = {tag[2]: tag.start() for tag in tags if tag[1]}
    opened = ""
    filed = 0

    for tag in tags:
        name = tag[2]
        if opened:
            if not tag[1] or name != opened:
                continue
            yield Part("block", text[filed : tag.start()].strip(), opened)
            opened = ""
        else:
            begins_line = tag.start() == filed or text[tag.start() - 1] == "\n"
            ends = is_cut or last_ends.get(name, -1) > tag.start()
            is_of_program = _OF_PROGRAM.fullmatch(name) and not _OF_PERSON.fullmatch(name)
            if tag[1] or not begins_line or not ends or not is_of_program:
                continue
            yield from _spoken(text[filed : tag.start()])
            opened = name
        filed = tag.end()

    if opened:
        yield Part("block", text[filed:].strip(), opened)
    else:
        yield from _spoken(text[filed:])


def _spoken(text: str) -> Iterator[Part]:
    inside = _BLANK_BEGINNING.sub("", text.rstrip())
    if inside:
        yield Part("text", inside)
