"""A command of sidelog in the process of the tests: to start one takes half a second of CPU."""

import io
from contextlib import redirect_stderr, redirect_stdout

from proxy.cli import app


def run_here(*words: str) -> tuple[int, str, str]:
    """Run a command that starts nothing; return its code, and what it wrote to both outputs."""
    out = _output()
    err = _output()
    with redirect_stdout(out), redirect_stderr(err):
        code = app.main([*words])
    return code, _written(out), _written(err)


def _output() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)


def _written(output: io.TextIOWrapper) -> str:
    output.seek(0)
    return output.read()
