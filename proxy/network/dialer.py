"""Connects to a name with several addresses, whichever of them answers (RFC 8305 §4, §5; P26).

Addresses are tried in `AddressOrder`; the next one starts as soon as the previous one fails or has
been silent for a quarter of a second. The first to connect wins. Invariant: exactly one opened
socket is returned, or none is left open.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any, Final

from proxy.network.lookup import Address, Lookup

ATTEMPT_DELAY_S: Final = 0.25
"""Silence of an address after which the next is tried as well (RFC 8305 §5)."""

AVOIDED_S: Final = 30.0
"""Time for which a failed address is tried after all others."""


class AddressOrder:
    """Order in which the addresses of one name are tried."""

    __slots__ = ("_avoided", "_turn")

    def __init__(self) -> None:
        self._avoided: dict[Address, float] = {}
        """Address → time until which it is tried last. Only has addresses of the name."""
        self._turn = 0

    def arrange(self, found: Sequence[Address], now_s: float) -> list[Address]:
        """Return the addresses in order: families alternate (RFC 8305 §4), each is rotated, failed
        ones last.
        """
        self._avoided = {
            a: until_s for a, until_s in self._avoided.items() if a in found and until_s > now_s
        }
        self._turn += 1
        families: dict[socket.AddressFamily, list[Address]] = {}
        for address in found:
            families.setdefault(address[0], []).append(address)
        rotated = [_rotate(addresses, self._turn - 1) for addresses in families.values()]
        ordered = [
            address for address in chain.from_iterable(zip_longest(*rotated)) if address is not None
        ]
        return sorted(ordered, key=self._avoided.__contains__)

    def avoid(self, address: Address, now_s: float) -> None:
        self._avoided[address] = now_s + AVOIDED_S


def _rotate(addresses: list[Address], by: int) -> list[Address]:
    by %= len(addresses)
    return addresses[by:] + addresses[:by]


class Dialer:
    """Opens connections to one name."""

    __slots__ = ("_judge", "_lookup", "_order")

    def __init__(
        self, host: str, port: int, judge: Callable[[Address], object] | None = None
    ) -> None:
        """Connect to a name; `judge` raises for an address that may not be reached."""
        self._judge = judge
        self._lookup = Lookup(host, port)
        self._order = AddressOrder()

    async def connect(self) -> tuple[socket.socket, Address]:
        """Return a connected, non-blocking socket and its address.

        Raises:
            OSError: no address could be reached (the first failure), or the judge refused an address.
        """
        found = await self._lookup.addresses()
        if self._judge is not None:
            for address in found:
                self._judge(address)
        addresses = self._order.arrange(found, time.monotonic())
        if len(addresses) == 1:
            return await _attempt(addresses[0]), addresses[0]
        return await self._race(addresses)

    def avoid(self, address: Address) -> None:
        """Try an address last for a while, because its connection failed."""
        self._order.avoid(address, time.monotonic())

    async def _race(self, addresses: list[Address]) -> tuple[socket.socket, Address]:
        won: asyncio.Future[tuple[socket.socket, Address]] = (
            asyncio.get_running_loop().create_future()
        )
        errors: list[OSError] = []

        started: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                for address in addresses:
                    started.append(
                        tasks.create_task(self._try(address, won, errors), name="connect")
                    )
                    await _first_of([started[-1], won], ATTEMPT_DELAY_S)
                    if won.done():
                        break

                while not won.done() and (
                    waiting := [attempt for attempt in started if not attempt.done()]
                ):
                    await _first_of([*waiting, won])

                if won.done():
                    self._give_up(addresses, started, won.result()[1])
        except BaseException:
            if won.done():
                won.result()[0].close()
            raise

        if won.done():
            return won.result()

        raise errors[0]

    def _give_up(
        self, addresses: list[Address], started: list[asyncio.Future[Any]], winner: Address
    ) -> None:
        """Cancel the remaining attempts; those that started after the winner are not held against
        their address.
        """
        is_earlier = True
        for address, attempt in zip(addresses, started, strict=False):
            is_earlier = is_earlier and address != winner
            if not attempt.done():
                attempt.cancel()
                if is_earlier:
                    self.avoid(address)

    async def _try(
        self,
        address: Address,
        won: "asyncio.Future[tuple[socket.socket, Address]]",
        errors: list[OSError],
    ) -> None:
        try:
            connected = await _attempt(address)
        except OSError as error:
            self.avoid(address)
            errors.append(error)
            return

        if won.done():
            connected.close()
        else:
            won.set_result((connected, address))


async def _first_of(futures: list[asyncio.Future[Any]], timeout_s: float | None = None) -> None:
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


async def _attempt(address: Address) -> socket.socket:
    family, target = address
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(opened, target)
    except BaseException:
        opened.close()
        raise

    return opened
