"""A child for supervisors under test: `python -m tests.support.child CONTROL_FD`. Says `ready`,
then obeys.

`drain`, `retire`, `hand-over` and the end of the line end it with code 0, `exit N` with N; `say X`
makes it say X.
"""

import select
import socket
import sys

from proxy.process.control_channel import Control


def main(control_fd: int) -> int:
    """Obey until told to end."""
    control = Control(socket.socket(fileno=control_fd))
    control.send("ready")
    while True:
        select.select([control], [], [])
        lines, _, has_ended = control.receive()
        for line in lines:
            command, _, argument = line.partition(" ")
            if command == "exit":
                return int(argument)
            if command == "say":
                control.send(argument)
            if command == "ping":
                control.send("pong")

        if has_ended or {"drain", "retire", "hand-over"} & set(lines):
            return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
