"""The duty of an init: as the first process of a container, the supervisor inherits children that others left behind.

No other process can collect them when they end, and each would keep its entry in the table of processes: a probe by
`exec`, or a debugging shell, leaves some. Children of our own are passed over: their exit code is wanted (wait(2)).
"""

import os
from collections.abc import Collection


def reap(own: Collection[int | None]) -> None:
    """Collect children that have ended and are none of `own`."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid in own:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)
        except ChildProcessError:
            return
