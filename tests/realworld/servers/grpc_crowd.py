"""Many calls (grpcio) to that service until the input ends: streams that are always open, and unary
calls at a rate.

Arguments: target, streams, calls a second. It prints JSON: what was done of each, and what failed,
with why.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Coroutine

import grpc
import grpc.aio

CHANNEL_STREAMS = 50
"""Below what a connection may have at once, or the rest would wait for those."""
MESSAGES = 20
PAUSE_S = 0.1
CALL_S = 120
STEP_S = 0.02


class Crowd:
    """What all of it is, and was."""

    def __init__(self, target: str, streams: int) -> None:
        """Prepare connections; each channel has its own."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [
            grpc.aio.insecure_channel(target, options=options)
            for _ in range(streams // CHANNEL_STREAMS + 1)
        ]
        self._is_ending = asyncio.Event()
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    async def _count(self, what: str, call: Coroutine[None, None, bool]) -> None:
        try:
            is_right = await call
            self.done[what] += 1
            if not is_right:
                self.failed[f"{what}: a wrong answer"] += 1
        except grpc.RpcError as error:
            self.failed[f"{what}: {error.code()} {error.details()}"] += 1

    async def _call(self, number: int) -> bool:
        message = b"%d" % number
        channel = self._channels[number % len(self._channels)]
        return bool(
            await channel.unary_unary("/test.Service/Echo")(message, timeout=CALL_S) == message
        )

    async def _stream(self, number: int) -> bool:
        call = self._channels[number % len(self._channels)].stream_stream("/test.Service/Chat")(
            timeout=CALL_S
        )
        for at in range(MESSAGES):
            await call.write(b"%d" % at)
            if await call.read() != b"%d" % at:
                return False
            await asyncio.sleep(PAUSE_S)

        await call.done_writing()
        return await call.read() is grpc.aio.EOF and await call.code() is grpc.StatusCode.OK

    async def _stream_on(self, number: int) -> None:
        while not self._is_ending.is_set():
            await self._count("streams", self._stream(number))

    async def run(self, streams: int, rate: int) -> None:
        """Make all calls, and wait for the last of them."""
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, sys.stdin.read).add_done_callback(
            lambda _: self._is_ending.set()
        )
        began_s = loop.time()
        begun = 0

        async with asyncio.TaskGroup() as tasks:
            for number in range(streams):
                tasks.create_task(self._stream_on(number))
            while not self._is_ending.is_set():
                while begun < (loop.time() - began_s) * rate:
                    tasks.create_task(self._count("calls", self._call(begun)))
                    begun += 1
                await asyncio.sleep(STEP_S)

        for channel in self._channels:
            await channel.close()


async def main(target: str, streams: str, rate: str) -> None:
    crowd = Crowd(target, int(streams))
    await crowd.run(int(streams), int(rate))
    json.dump({"done": crowd.done, "failed": crowd.failed}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
