"""Words of a command line, read back by a shell."""

import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st

from api.native.files.curl import word


@settings(max_examples=30)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
def test_a_shell_reads_what_was_written(text: str) -> None:
    """As one word, whatever is in it; a line end at its end is the shell's to lose."""
    text = text.rstrip("\n") + "."
    command = f"printf '%s|' {word(text)}"
    assert command.replace("\n", "").replace("\t", "").isprintable()
    assert (
        subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=True).stdout
        == (text + "|").encode()
    )
