"""A real Prometheus that scrapes every second, and promtool; without them tests are skipped, in CI
they fail.
"""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.programs import find


class Prometheus:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer; None while it cannot be asked."""
        try:
            with urllib.request.urlopen(
                f"{self._url}/{path}?{urllib.parse.urlencode(parameters)}"
            ) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 503:  # it is starting
                    raise AssertionError(f"{parameters}: {error.read().decode()}") from error
                return None
        except OSError:
            return None

    def value(self, query: str) -> float | None:
        """Return the one value of a query, None while there is none."""
        data = self.ask("query", query=query)
        if data and data["result"]:
            return float(data["result"][0]["value"][1])
        return None


@contextmanager
def scraping(directory: Path, *targets: str, rules: Sequence[Path] = ()) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes some admin ports and evaluates some files of rules, both every
    second.
    """
    program = find("prometheus")
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [{"job_name": "sidelog", "static_configs": [{"targets": list(targets)}]}],
    }
    (directory / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()

    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={directory / 'prometheus.yml'}",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--storage.tsdb.path={directory / 'tsdb'}",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            yield Prometheus(port)
        finally:
            process.terminate()
            try:
                process.wait(30)
            finally:
                process.kill()
