"""The program that a command starts."""

from pathlib import Path

import pytest

from proxy.cli.commands.output import CommandError
from proxy.cli.commands.run.child import NOT_EXECUTABLE, NOT_FOUND, executable_of


def test_a_program_is_looked_for_as_a_shell_does(tmp_path: Path) -> None:
    """In the path of the environment that is handed in, or where its name says; else it is said
    what is wrong.
    """
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    environ = {"PATH": str(tmp_path)}

    for name in ("tool", str(tool)):
        with pytest.raises(CommandError, match="cannot be executed") as refused:
            executable_of(name, environ)
        assert refused.value.exit_code == NOT_EXECUTABLE

    tool.chmod(0o755)
    assert executable_of("tool", environ) == executable_of(str(tool), {}) == str(tool)
    with pytest.raises(CommandError, match="other: command not found") as refused:
        executable_of("other", environ)
    assert refused.value.exit_code == NOT_FOUND
