"""`sidelog health`: for container health checks."""

import json
from typing import Final

from proxy.cli.command import command, json_option, store_option, url_option
from proxy.cli.commands.client import connect, refusal
from proxy.cli.commands.output import Result, complain, say

NEXT: Final = (
    "`sidelog doctor` looks for causes on this machine; docs/runbook.md says what to do about each"
)


@command()
@url_option
@store_option
@json_option
def health(url: str | None, data_dir: str | None) -> Result:
    """Report whether sidelog is ready, and exit with 0 if it is; for container health checks.

    Example: sidelog health --url http://127.0.0.1:8090
    """
    answer = connect(url, "", data_dir).get("/readyz")
    is_ready = answer.status == 200
    try:
        detail = json.loads(answer.body)
    except ValueError:
        detail = answer.body.decode("utf-8", "replace").strip()

    if isinstance(detail, dict):
        reasons = detail.get("reasons", [])
    else:
        reasons = []

    def show(_: object) -> None:
        if is_ready:
            say("; ".join(["ready", *map(str, reasons)]))
        else:
            complain(f"not ready: {'; '.join(map(str, reasons)) or refusal(answer)}")
        if reasons:
            complain(NEXT)

    found = {"ready": is_ready, "status": answer.status, "detail": detail}
    return Result(found, show, 0 if is_ready else 1)
