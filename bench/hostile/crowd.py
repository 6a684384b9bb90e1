"""A crowd: many connections at once that are slow, silent or wasteful, each at its own pace, from
addresses of its own.

Every connection acts once in each pulse: once a second, less often in a crowd of more than 2 000.
What it tries are numbers: it must leave the machine time, or each p99 beside it is the scheduler's.
So it is one thread that sleeps between two acts and needs no loop. Strangers have no common clock:
the gaps are those of independent ones, of random length around the mean. What is closed comes back
with the next pulse, as strangers do.
"""

import random
import resource
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final, Protocol

from bench.hostile.kinds import CHUNKS, LARGE, MASKED, handshake, post_in_chunks, request

MAX_ACTS_PER_S: Final = 2000
ADDRESSES: Final = 40
"""127.0.0.2 and so on: the healthy client, on 127.0.0.1, shares no cap with them."""
_SEED: Final = 1
_LATEST_S: Final = 0.005
"""How far the crowd may lag behind its rate and catch up: a starved client would send a burst,
which is none of it.
"""
_CONNECT_TIMEOUT_S: Final = 10.0
_BLOCK_UNITS: Final = 100
_RECEIVE_BYTES: Final = 4096

MIXED: Final[Mapping[str, int]] = {
    "silent": 40,
    "slow heads": 20,
    "tiny chunks": 10,
    "tiny frames": 10,
    "half-closed": 5,
    "refused requests": 10,
    "slow readers": 5,
}
"""Kind → how many of a hundred."""
SILENT: Final[Mapping[str, int]] = {"silent": 100}


@dataclass(slots=True)
class Member:
    """One of the crowd."""

    kind: str
    address: str
    connection: socket.socket | None = None
    pulse: int = 0
    """Since it is connected."""

    def act(self, port: int) -> None:
        """Do what its kind does in one pulse; whatever goes wrong, it begins anew with the next."""
        try:
            if self.connection is None:
                self._connect(port)
            assert self.connection is not None
            if data := self._send():
                self.connection.send(data)
            if self.kind == "half-closed" and self.pulse == 0:
                self.connection.shutdown(socket.SHUT_WR)
            self.pulse += 1
            if not self.connection.recv(_RECEIVE_BYTES):
                self.leave()
        except BlockingIOError:
            pass
        except OSError:
            self.leave()

    def leave(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _connect(self, port: int) -> None:
        made = socket.socket()
        self.connection = made
        made.settimeout(_CONNECT_TIMEOUT_S)
        made.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        made.bind((self.address, 0))
        if self.kind == "slow readers":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        self.pulse = 0
        made.connect(("127.0.0.1", port))
        made.setblocking(False)

    def _send(self) -> bytes:
        if self.kind == "slow heads":
            return _HEAD[self.pulse : self.pulse + 1]
        return (_UNITS if self.pulse else _OPENINGS).get(self.kind, b"")


_BIND_ADDRESS_NO_PORT: Final = 24
"""IP_BIND_ADDRESS_NO_PORT (ip(7)): the port is chosen by connect, so a source address has them all.
"""
_HEAD: Final = request("/none")


_OPENINGS: Final = {
    "tiny chunks": post_in_chunks("/hostile/up"),
    "tiny frames": handshake("/hostile/frames"),
    "half-closed": _HEAD,
    "refused requests": _HEAD,
    "slow readers": request(LARGE),
}
"""What a member sends once it is connected."""
_UNITS: Final = {
    "tiny chunks": CHUNKS["1-byte chunks"] * _BLOCK_UNITS,
    "tiny frames": MASKED["empty frames"] * _BLOCK_UNITS,
    "refused requests": _HEAD,
}
"""What it sends in each pulse that follows."""


def make_members(size: int, mix: Mapping[str, int]) -> list[Member]:
    """Return so many members, their kinds mixed as evenly as can be."""
    kinds = [kind for kind, share in mix.items() for _ in range(share)]
    step = 37  # shares no factor with a hundred: neighbours differ
    return [
        Member(kinds[number * step % len(kinds)], f"127.0.0.{2 + number % ADDRESSES}")
        for number in range(size)
    ]


class Count(Protocol):
    """A number that another process reads."""

    value: int


def run_crowd(size: int, mix: Mapping[str, int], port: int, ready: Connection, acts: Count) -> None:
    """Be a crowd for ever; `ready` hears when each has been connected once, `acts` counts what they
    do from then on.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    members = make_members(size, mix)
    for member in members:
        member.act(port)
    ready.send(True)
    chance = random.Random(_SEED)
    rate = min(size, MAX_ACTS_PER_S)
    due_s = time.perf_counter()

    while True:
        for member in members:
            now_s = time.perf_counter()
            due_s = max(due_s, now_s - _LATEST_S) + chance.expovariate(rate)
            if due_s > now_s:
                time.sleep(due_s - now_s)
            member.act(port)
            acts.value += 1
