"""What is said to models, and uploads: an agent's requests that grow, streams of answers, forms
with files.

Messages are those of Anthropic's API: a system prompt, tools, and turns in which a tool's result is
a piece of source.
"""

import base64
from functools import cache
from random import Random
from typing import Any, Final

from bench.contents import texts
from bench.contents.documents import PLACE, encoded, moment, uuid
from bench.contents.media import picture
from bench.contents.words import name, prose

TURNS: Final = 8
"""Requests of an agent's run, of which each has all before it."""
_TOOLS: Final = ("read_file", "write_file", "run_command", "search", "list_files", "fetch_page")
_BOUNDARY: Final = "----WebKitFormBoundary7MA4YWxkTrZu0gW1"
MULTIPART: Final = f"multipart/form-data; boundary={_BOUNDARY}"


@cache
def _beginning() -> str:
    """Return what all requests of an agent begin with: 12 KB that its program gives."""
    draw = Random("an agent's prompt")
    system = [{"type": "text", "text": "You are a coding agent. " + prose(draw, 6000)}]
    schema = {
        "type": "object",
        "properties": {"path": {"type": "string", "description": prose(draw, 120)}},
    }
    tools = [
        {"name": tool, "description": prose(draw, 700), "input_schema": schema} for tool in _TOOLS
    ]
    head = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 32000,
        "stream": True,
        "system": system,
        "tools": tools,
    }
    return encoded(head)[:-1] + ',"messages":['


def _turn(draw: Random, number: int) -> list[dict[str, Any]]:
    """Return what a turn adds: a call of a tool, and its result."""
    call = f"toolu_01{draw.getrandbits(96):024x}"
    content = texts.source(draw, 1000 + draw.randrange(4000)).decode()
    asked = {"path": f"/srv/app/{name(draw).lower()}/{name(draw).lower()}.py", "number": number}
    said = [
        {"type": "text", "text": prose(draw, 150)},
        {"type": "tool_use", "id": call, "name": draw.choice(_TOOLS), "input": asked},
    ]
    result = [{"type": "tool_result", "tool_use_id": call, "content": content}]
    return [{"role": "assistant", "content": said}, {"role": "user", "content": result}]


def request(draw: Random, size: int) -> bytes:
    """Return an agent's request of that size, the last of its run."""
    return _requests(draw, (size,))[0]


def run(seed: int, size: int) -> list[bytes]:
    """Return the requests of a run, each with all that was said before, up to that size."""
    first = size // 3
    step = (size - first) // (TURNS - 1)
    sizes = [first + step * number for number in range(TURNS - 1)]
    return _requests(Random(f"run-{seed}"), (*sizes, size))


def _requests(draw: Random, sizes: tuple[int, ...]) -> list[bytes]:
    """Return a request of each size; the text of a last message fills it up."""
    text = _beginning() + encoded({"role": "user", "content": f"Task {PLACE}: {prose(draw, 300)}"})
    found = list[bytes]()
    number = 0
    turn = ""

    for size in sizes:
        while len((text + turn).encode()) < size - 200:
            text += turn
            number += 1
            turn = "".join("," + encoded(message) for message in _turn(draw, number))

        head = text + ',{"role":"user","content":"'
        end = '"}]}'
        missing = size - len((head + end).encode())
        found.append((head + prose(draw, missing) + end).encode())

    return found


def stream(draw: Random, size: int) -> bytes:
    """Return a model's answer as an event stream (WHATWG HTML §9.2); a comment before its end fills
    it up.
    """
    started = {
        "id": f"msg_01{draw.getrandbits(96):024x}",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
    }
    usage = {"input_tokens": draw.randrange(20000), "output_tokens": draw.randrange(2000)}
    frames = [_event("message_start", {"message": started | {"content": [], "usage": usage}})]
    ends = [
        _event("content_block_stop", {"index": 0}),
        _event("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": usage}),
        _event("message_stop", {}),
    ]

    left = size - len(frames[0]) - sum(map(len, ends))
    while left > 200:
        delta = {"type": "text_delta", "text": prose(draw, 4 + draw.randrange(20)) + " "}
        frame = _event("content_block_delta", {"index": 0, "delta": delta})
        frames.append(frame)
        left -= len(frame)

    filler = ": " + prose(draw, left - 4) + "\n\n"
    return "".join([*frames, filler, *ends]).encode()


def _event(kind: str, content: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {encoded({'type': kind, **content})}\n\n"


def upload(draw: Random, size: int) -> bytes:
    """Return a form of a browser with a picture as its file (RFC 7578)."""
    head = (
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; "
        f'name="title"\r\n\r\n{prose(draw, 40)}\r\n'
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; '
        f'filename="{name(draw)}.png"\r\n'
        f"Content-Type: image/png\r\n\r\n"
    ).encode()
    end = f"\r\n--{_BOUNDARY}--\r\n".encode()
    return head + picture(draw, size - len(head) - len(end)) + end


def attachment(draw: Random, size: int) -> bytes:
    """Return JSON with a picture in base64 (RFC 4648 §4), and a text that fills it up."""
    fields = {
        "id": uuid(draw),
        "name": f"{name(draw)}.png",
        "created_at": moment(draw),
        "type": "image/png",
    }
    head = encoded(fields)[:-1] + ',"content":"'
    middle = '","note":"'
    end = '"}'
    room = size - len(head) - len(middle) - len(end)
    content = base64.b64encode(picture(draw, (room - 40) // 4 * 3)).decode()
    return (head + content + middle + prose(draw, room - len(content)) + end).encode()
