"""Clients of Mistral, Cohere, Amazon Bedrock, and litellm: without configuration the log says what
they were told.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.realworld.llm_upstream import application
from tests.realworld.programs import SERVERS, python_program, run
from tests.realworld.proxied import proxied
from tests.support.upstream import running

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]


def talk(sdk: str, url: str, cwd: Path) -> list[dict[str, Any]]:
    """Run a client; return what each of its calls was told."""
    output = run([python_program(), str(SERVERS / "llm_sdks.py"), sdk, url], cwd)
    heard: list[dict[str, Any]] = json.loads(output.splitlines()[-1])
    return heard


@pytest.mark.parametrize(
    ("sdk", "providers"),
    [
        ("mistral", {"openai"}),
        ("cohere", {"cohere"}),
        ("bedrock", {"bedrock"}),
        ("litellm", {"openai"}),
    ],
)
def test_the_record_says_what_the_client_was_told(
    tmp_path: Path, sdk: str, providers: set[str]
) -> None:
    """To the token, plain and streamed, with the reason and the tools; the client sees what it sees
    without sidelog.
    """
    with running(application()) as origin:
        direct = talk(sdk, origin, tmp_path)
        with proxied(tmp_path, origin) as way:
            assert talk(sdk, way.url, tmp_path) == direct
            records = way.check_record()

    assert [
        {name: record[name] for name in told} for record, told in zip(records, direct, strict=True)
    ] == direct
    assert {record["provider"] for record in records} == providers
    assert {record["usage_state"] for record in records} == {"exact"}
