"""`sidelog`, and `python -m proxy`, which is the same."""

import sys


def main() -> int:
    """Run the command line; until it is loaded, which takes 100 ms, an interrupt ends the process
    without a word.
    """
    import signal

    # A job in the background may ignore it.
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.argv[1:2] == ["serve"]:
        # An early reload waits for the supervisor.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    from proxy.cli.app import main as run

    if is_ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


if __name__ == "__main__":
    from proxy.process.own_packages import leave_current_directory

    leave_current_directory(sys.path)
    sys.exit(main())
